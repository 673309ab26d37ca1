// What an application must have done with the ports of a console.
using System.Buffers.Binary;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Traces;

/// <summary>
/// A receive buffer that is lent again was read to its end; a transmit buffer was written; a message about a port that is opened or closed
/// means that somebody did so. Everything else consoles do by themselves.
/// </summary>
internal sealed class ConsolePlayer : Player
{
    private const int ControlTransmit = 3;
    private const ushort PortOpen = 6;

    private readonly ConsoleDevice _console;
    private readonly Dictionary<int, Queue<int>> _received = [];

    internal ConsolePlayer(Replay replay, ConsoleDevice console)
        : base(replay) => _console = console;

    /// <inheritdoc/>
    internal override Device Device => _console;

    /// <inheritdoc/>
    internal override bool TryStep(TraceEvent next)
    {
        if (next.Words[0] != "avail")
        {
            TraceEvent? act = Replay.Events.Skip(Replay.At).FirstOrDefault(line => line.Kind == TraceKind.Driver);
            bool isEmergency = act is not null && act.Key == "w32 config+0x8";
            return isEmergency && _console.TryWriteEmergency((byte)TraceEvent.Number(act!.Value));
        }
        int queue = (int)TraceEvent.Number(next.Words[1]);
        if (queue == ControlTransmit)
        {
            return TryOpen(next);
        }
        if (queue == 2)
        {
            return false;
        }
        int number = queue < 2 ? 0 : (queue - 2) / 2;
        ConsolePort? port = Find(number);
        if (port is null)
        {
            return false;
        }
        List<TraceEvent> lines = TakeAvailable(queue);
        if (queue % 2 == 0)
        {
            Queue<int> lengths = ReceivedBy(queue);
            int total = lines.Sum(_ => lengths.Count == 0 ? 0 : lengths.Dequeue());
            port.Read(new byte[total]);
        }
        else
        {
            byte[] bytes = [.. lines.SelectMany(TracedPiece.Of).SelectMany(piece => piece.Content.Length != 0 ? piece.Content : new byte[piece.Length])];
            port.Write(bytes);
        }
        return lines.Count != 0;
    }

    /// <inheritdoc/>
    internal override bool LendsAtOnce(string queue) => queue == "2";

    /// <inheritdoc/>
    internal override void OnCompared(TraceEvent line)
    {
        if (line.Kind == TraceKind.Used && TraceEvent.Number(line.Words[1]) is ulong queue && queue % 2 == 0 && queue != 2 && line.Words[4] != "0")
        {
            ReceivedBy((int)queue).Enqueue((int)Math.Min(TraceEvent.Number(line.Words[4]), 4096));
        }
    }

    private bool TryOpen(TraceEvent line)
    {
        byte[] message = TracedPiece.Of(line)[0].Content;
        if (message.Length != 8 || BinaryPrimitives.ReadUInt16LittleEndian(message.AsSpan(4)) != PortOpen ||
            Find((int)BinaryPrimitives.ReadUInt32LittleEndian(message)) is not ConsolePort port)
        {
            return false;
        }
        if (message[6] != 0)
        {
            port.Open();
        }
        else
        {
            port.Close();
        }
        return true;
    }

    private Queue<int> ReceivedBy(int queue)
    {
        if (!_received.TryGetValue(queue, out Queue<int>? lengths))
        {
            _received.Add(queue, lengths = []);
        }
        return lengths;
    }

    private ConsolePort? Find(int number)
    {
        for (int i = 0; i < _console.PortCount; i++)
        {
            if (_console.Port(i).Number == number)
            {
                return _console.Port(i);
            }
        }
        return null;
    }
}
