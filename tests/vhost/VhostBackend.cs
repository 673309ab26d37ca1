// A vhost-user-blk backend: one thread that speaks the protocol and serves the rings of a guest that runs.
using System.Diagnostics;
using System.IO;
using System.Net.Sockets;
using System.Threading;

namespace VirtioSharp.Tests.Vhost;

/// <summary>Listens at a Unix socket for QEMU. Everything happens on one thread: messages, doorbells and timers, one after the other.</summary>
internal sealed unsafe partial class VhostBackend : IDisposable
{
    private const int LongestSleep = 20;
    private const int FixedEntries = 2;

    private readonly VhostDisk _disk;
    private readonly string _folder = Directory.CreateTempSubdirectory("virtiosharp-").FullName;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly List<(long At, Action Do)> _timers = [];
    private readonly List<VhostMemory> _memories = [];
    private readonly VhostQueue[] _queues;
    private readonly Thread _thread;
    private Socket? _peer;
    private VhostConnection? _connection;
    private VhostConnection? _requests;
    private VhostMemory? _memory;
    private int _requestsFile = -1;
    private volatile bool _ends;

    /// <summary>Begins to listen for a disk with so many queues.</summary>
    internal VhostBackend(VhostDisk disk, int queues = 1)
    {
        _disk = disk;
        disk.Backend = this;
        _queues = [.. Enumerable.Range(0, queues).Select(index => new VhostQueue(index))];
        SocketPath = Path.Combine(_folder, "vhost.sock");
        _listener.Bind(new UnixDomainSocketEndPoint(SocketPath));
        _listener.Listen(1);
        _thread = new Thread(Run) { IsBackground = true, Name = "vhost" };
        _thread.Start();
    }

    /// <summary>Where it listens.</summary>
    internal string SocketPath { get; }

    /// <summary>The queues.</summary>
    internal VhostQueue[] Queues => _queues;

    /// <summary>What the driver did that no driver may do, and what else went wrong.</summary>
    internal List<string> Violations { get; } = [];

    /// <summary>How often QEMU connected.</summary>
    internal int Connections { get; private set; }

    /// <summary>How often a queue was stopped by a reset.</summary>
    internal int Stops { get; private set; }

    /// <summary>Options of QEMU for a guest with this disk; <paramref name="megabytes"/> have to be those of -m.</summary>
    internal string[] Options(int megabytes, string device = "", string socket = "") =>
    [
        "-object", $"memory-backend-memfd,id=ram,size={megabytes}M,share=on", "-machine", "memory-backend=ram", .. MoreOptions("vhost", device, socket),
    ];

    /// <summary>Options of QEMU for this disk, in a guest that has one already.</summary>
    internal string[] MoreOptions(string name, string device = "", string socket = "") =>
    [
        "-chardev", $"socket,id={name},path={SocketPath}{socket}",
        "-device", $"vhost-user-blk-pci,chardev={name},disable-legacy=on,num-queues={_queues.Length}{device}{_disk.Options}",
    ];

    /// <summary>Does something in <paramref name="milliseconds"/>, on the backend's thread; what was used then is told of.</summary>
    internal void After(int milliseconds, Action what) => _timers.Add((Stopwatch.GetTimestamp() + milliseconds * Stopwatch.Frequency / 1000, what));

    /// <summary>Hangs up. QEMU comes again when it was told to.</summary>
    internal void Drop()
    {
        foreach (VhostQueue queue in _queues)
        {
            queue.Forget();
        }
        _disk.Held.Clear();
        _peer?.Dispose();
        _peer = null;
        _connection = null;
        CloseRequests();
    }

    /// <summary>Tells QEMU that the configuration is another one, and QEMU the guest when it can see that.</summary>
    internal void TellOfConfig() => _requests?.TellOfConfig();

    /// <summary>Ends the thread.</summary>
    public void Dispose()
    {
        _ends = true;
        _thread.Join();
        Drop();
        _listener.Dispose();
        foreach (VhostMemory memory in _memories)
        {
            memory.Dispose();
        }
        Directory.Delete(_folder, recursive: true);
    }

    private void Run()
    {
        while (!_ends)
        {
            try
            {
                Step();
            }
            catch (Exception error)
            {
                // The test says why; QEMU has to see somebody leave, or it waits for ever.
                Violations.Add(error is VhostViolationException ? error.Message : error.ToString());
                Drop();
            }
        }
    }

    private void Step()
    {
        Native.PollEntry* entries = stackalloc Native.PollEntry[FixedEntries + _queues.Length];
        entries[0] = new Native.PollEntry { File = _peer is null ? (int)_listener.Handle : -1, Wanted = Native.PollIn };
        entries[1] = new Native.PollEntry { File = _peer is null ? -1 : (int)_peer.Handle, Wanted = Native.PollIn };
        for (int i = 0; i < _queues.Length; i++)
        {
            entries[FixedEntries + i] = new Native.PollEntry { File = _queues[i].IsEnabled ? _queues[i].Kick : -1, Wanted = Native.PollIn };
        }
        Native.Poll(entries, (nuint)(FixedEntries + _queues.Length), Sleep());
        if (entries[0].Seen != 0)
        {
            _peer = _listener.Accept();
            _connection = new VhostConnection((int)_peer.Handle);
            Connections++;
        }
        // Doorbells before messages: what was rung for before a reset is not lost to it.
        for (int i = 0; i < _queues.Length; i++)
        {
            if (entries[FixedEntries + i].Seen != 0)
            {
                OnKick(_queues[i], _queues[i].TakeKick());
            }
        }
        if (entries[1].Seen != 0 && _peer is not null)
        {
            VhostMessage? message = _connection!.Receive();
            if (message is null)
            {
                Drop();
            }
            else
            {
                Handle(message.Value);
            }
        }
        RunTimers();
    }

    private int Sleep()
    {
        long now = Stopwatch.GetTimestamp();
        long sleep = LongestSleep;
        foreach ((long at, _) in _timers)
        {
            sleep = Math.Min(sleep, Math.Max(0, (at - now) * 1000 / Stopwatch.Frequency + 1));
        }
        return (int)sleep;
    }

    private void RunTimers()
    {
        long now = Stopwatch.GetTimestamp();
        foreach ((long At, Action Do) timer in _timers.Where(timer => timer.At <= now).ToArray())
        {
            _timers.Remove(timer);
            timer.Do();
            SignalAll();
        }
    }

    private void OnKick(VhostQueue queue, ulong times)
    {
        // Only one that was rung once gets lost: the driver rings once more, and not a third time.
        bool isLost = times == 1 && _disk.OnKick is not null && _disk.OnKick(queue);
        if (queue.Ring is not null && !queue.IsDeaf && !isLost)
        {
            Look(queue);
        }
    }

    /// <summary>Looks what there is in a queue, as after a doorbell.</summary>
    internal void Look(VhostQueue queue)
    {
        if (queue.Ring is not null && !queue.IsDeaf)
        {
            Drain(queue);
            SignalAll();
        }
    }

    private void Ask(VhostQueue queue, VhostRing ring)
    {
        if (_disk.OnAsk is null)
        {
            ring.AskForNotifications();
        }
        else
        {
            _disk.OnAsk(queue);
        }
    }

    /// <summary>Serves everything that is available; a script may stop the queue in the middle.</summary>
    private void Drain(VhostQueue queue)
    {
        try
        {
            Drain(queue, queue.Running);
        }
        catch (VhostViolationException violation)
        {
            // A device that can't make sense of its ring is silent until it is reset.
            queue.IsDeaf = true;
            if (!_disk.MisreadsRings)
            {
                Violations.Add(violation.Message);
            }
        }
    }

    private void Drain(VhostQueue queue, VhostRing ring)
    {
        do
        {
            ring.SuppressNotifications();
            while (queue.Ring == ring && ring.Take() is { } chain)
            {
                _disk.Serve(queue, chain);
            }
            if (queue.Ring != ring)
            {
                return;
            }
            Ask(queue, ring);
            // Pairs with the driver's fence between what it published and its look at our wish.
            Interlocked.MemoryBarrier();
        }
        while (ring.HasAvailable);
    }

    /// <summary>Interrupts for what was used, where the driver wants it.</summary>
    private void SignalAll()
    {
        foreach (VhostQueue queue in _queues)
        {
            if (queue.Ring is not null && queue.Ring.WantsSignal() && (_disk.OnSignal is null || !_disk.OnSignal(queue)))
            {
                queue.Signal();
            }
        }
    }

    private void CloseRequests()
    {
        if (_requestsFile >= 0)
        {
            Native.Close(_requestsFile);
        }
        _requestsFile = -1;
        _requests = null;
    }
}
