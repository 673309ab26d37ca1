// What an application must have asked of a device, by what its driver did.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Traces;

/// <summary>A piece of a buffer in a line about an available buffer.</summary>
/// <param name="IsWritable">True when the device writes it.</param>
/// <param name="Memory">The name of its memory, e.g. <c>m3</c>.</param>
/// <param name="Offset">Where it begins there.</param>
/// <param name="Length">Its length in bytes.</param>
/// <param name="Content">What is in it, where that is short and the device reads it; empty otherwise.</param>
internal sealed record TracedPiece(bool IsWritable, string Memory, uint Offset, uint Length, byte[] Content)
{
    /// <summary>The pieces of a line.</summary>
    internal static List<TracedPiece> Of(TraceEvent available)
    {
        List<TracedPiece> pieces = [];
        string[] words = available.Words;
        for (int i = 3; i + 1 < words.Length; i++)
        {
            if (words[i] is not ("r" or "w"))
            {
                continue;
            }
            string[] parts = words[i + 1].Split('+', ':');
            byte[] content = i + 2 < words.Length && words[i + 2].StartsWith('=') ? Convert.FromHexString(words[i + 2].AsSpan(1)) : [];
            pieces.Add(new TracedPiece(
                words[i] == "w", parts[0], parts.Length > 2 ? (uint)TraceEvent.Number(parts[1]) : 0, (uint)TraceEvent.Number(parts[^1]), content));
        }
        return pieces;
    }
}

/// <summary>Plays an application.</summary>
internal abstract class Player
{
    private readonly Replay _replay;
    private int _supplied;

    private protected Player(Replay replay) => _replay = replay;

    /// <summary>The device in service.</summary>
    internal abstract Device Device { get; }

    /// <summary>Does what leads to the next line; false when that is not the application's business.</summary>
    internal abstract bool TryStep(TraceEvent next);

    /// <summary>The driver did what a line says.</summary>
    internal virtual void OnCompared(TraceEvent line)
    {
    }

    /// <summary>True for a queue whose buffers go back to the device one by one, as they are taken.</summary>
    internal virtual bool LendsAtOnce(string queue) => false;

    private protected Replay Replay => _replay;

    /// <summary>
    /// The lines about available buffers that come next in a row and that nobody was asked for yet; <paramref name="queue"/> only, if it is not
    /// negative.
    /// </summary>
    private protected List<TraceEvent> TakeAvailable(int queue = -1)
    {
        List<TraceEvent> found = [];
        for (int i = Replay.At; i < Replay.Events.Count; i++)
        {
            TraceEvent line = Replay.Events[i];
            if (line.Words[0] == "avail" && (queue < 0 || TraceEvent.Number(line.Words[1]) == (ulong)queue))
            {
                if (i >= _supplied)
                {
                    found.Add(line);
                    _supplied = i + 1;
                }
            }
            else if (line.Kind is not (TraceKind.Information or TraceKind.Want) && line.Words[0] is not "wish")
            {
                break;
            }
        }
        return found;
    }
}
