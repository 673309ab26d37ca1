// A trace replayed against the driver: what is done to the driver, so that it does what the trace says.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Trace;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Backends;

namespace VirtioSharp.Tests.Traces;

internal sealed partial class Replay
{
    private const int MaxQueues = 80;
    private const int Looks = 4;

    private Player? _player;

    private void Run()
    {
        Device? device = null;
        ProbeResult result;
        if (IsMmio)
        {
            ulong length = TraceEvent.Number(_events.First(line => line.Words[0] == "registers").Words[1]);
            result = new VirtioMmioDriver(TestDrivers.All()).Probe(new TracedPlatformDevice(new ReplayPlatformDevice(this, length), _trace), out device);
        }
        else
        {
            foreach (TraceEvent window in _events.Where(line => line.Words[0] == "window"))
            {
                ulong[] numbers = [.. window.Words.Skip(1).Select(TraceEvent.Number)];
                _trace.AddWindow((WindowKind)numbers[0], (int)numbers[1], numbers[2], numbers[3]);
            }
            ushort access = (ushort)_events.Where(line => line.Words[0] == "access").Select(line => TraceEvent.Number(line.Words[1])).FirstOrDefault();
            TracedFunction function = new(new ReplayFunction(this, access), _trace, findsWindows: false, access);
            DeviceTable devices = new();
            result = new VirtioPciDriver(TestDrivers.All()).Probe(function, devices);
            device = devices.Count == 0 ? null : devices[0];
        }
        Look();
        Progress();
        if (_at == _events.Length)
        {
            return;
        }
        _player = device switch
        {
            VirtioBlk disk => new DiskPlayer(this, disk, _maxRecoveries),
            ConsoleDevice console => new ConsolePlayer(this, console),
            EntropySource source => new EntropyPlayer(this, source),
            _ => throw new ReplayMismatchException(_events[_at], $"the driver has given up: {result.Reason} (0x{result.Value:X})"),
        };
        while (_at < _events.Length)
        {
            if (_events[_at].Words[0] == "same")
            {
                // The driver looked once more, and nothing had changed.
                MoveTo(_at + 1);
                _player.Device.OnDeadline(Clock.Advance(_player.Device.NextDeadline));
                Look();
                Progress();
                continue;
            }
            int before = _at;
            Step(_events[_at]);
            Look();
            Progress();
            if (_at == before)
            {
                throw new ReplayMismatchException(NextOfDriver(), "nothing that happens to the driver makes it do that");
            }
        }
    }

    /// <summary>Does to the driver what must have been done to it when it did what the next line says.</summary>
    private void Step(TraceEvent next)
    {
        int before = _at;
        Device device = _player!.Device;
        bool broke = _broke;
        _broke = false;
        if (broke && next.Words[0] == "avail" && _player.TryStep(next))
        {
            return; // the ring was broken before anything was in it
        }
        _isPolling = true;
        device.Poll();
        _isPolling = false;
        Look();
        if (_at != before || broke || _player.TryStep(next))
        {
            return;
        }
        TraceEvent? act = _events.Skip(_at).FirstOrDefault(line => line.Kind is TraceKind.Driver or TraceKind.Used);
        bool ends = act is not null && act.Value == "0x0" && (act.Words[1] is "device_status" or "Status");
        bool looks = next.Key is "r8 device_status" or "r32 Status";
        if (ends && !looks)
        {
            device.Remove();
            return;
        }
        for (int i = 0; i < Looks && _at == before; i++)
        {
            ulong now = Clock.Advance(device.NextDeadline);
            device.OnDeadline(now);
            Look();
        }
        if (_at == before && ends)
        {
            device.Remove();
        }
    }
}
