// Which interrupt belongs to which queue of a device (virtio 4.1.5.1.2).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio;

/// <summary>
/// Divides the vectors: one for the configuration and one for each queue; where there are fewer, one for the configuration and one for
/// all queues; with a single one, MSI or a pin, everything on it; with none, polling. A vector that is refused is replaced by
/// the one of the configuration, and that by polling.
/// </summary>
internal sealed class DeviceInterrupts
{
    private readonly VirtioTransport _transport;
    private SharedInterrupt? _first;
    private SharedInterrupt? _second;
    private ushort _queues;
    private bool _configRefused;

    internal DeviceInterrupts(VirtioTransport transport) => _transport = transport;

    internal InterruptKind Kind { get; private set; }

    internal ushort VectorCount { get; private set; }

    /// <summary>True when a queue has no interrupt.</summary>
    internal bool IsPolled { get; private set; }

    internal void Prepare(ushort queues, InterruptHandler configChanged)
    {
        _queues = queues;
        VectorCount = _transport.PrepareInterrupts((ushort)(queues + 1), out InterruptKind kind);
        Kind = kind;
        bool hasVectors = kind == InterruptKind.MsiX;
        _first = new SharedInterrupt(_transport, readStatus: !hasVectors, configChanged);
        if (VectorCount == 0 || !_transport.TryAttachInterrupt(0, _first))
        {
            _transport.ReleaseInterrupts();
            VectorCount = 0;
            Kind = InterruptKind.None;
            IsPolled = true;
            return;
        }
        if (hasVectors && VectorCount > 1 && VectorCount <= queues)
        {
            _second = new SharedInterrupt(_transport, readStatus: false, null);
            if (!_transport.TryAttachInterrupt(1, _second))
            {
                _second = null;
                VectorCount = 1;
            }
        }
        RestoreConfigVector();
    }

    /// <summary>Sets the vector of configuration changes, which a reset of the device forgets. A device that refuses it is asked now and then.</summary>
    internal void RestoreConfigVector()
    {
        if (Kind == InterruptKind.MsiX && !_transport.TrySetConfigVector(0) && !_configRefused)
        {
            _configRefused = true;
            Log.Write(LogLevel.Warning, "virtio", "the device refused the vector of configuration changes", 0);
        }
    }

    /// <summary>Gives a queue that is not enabled yet its interrupt, and says which vector the device was told.</summary>
    internal ushort Attach(Virtqueue queue)
    {
        if (Kind != InterruptKind.MsiX)
        {
            _first!.Add(queue);
            _transport.TrySetQueueVector(queue.Index, VirtioTransport.NoVector);
            return VirtioTransport.NoVector;
        }
        ushort own = (ushort)(queue.Index + 1);
        if (VectorCount > _queues && _transport.TryAttachInterrupt(own, queue) && _transport.TrySetQueueVector(queue.Index, own))
        {
            return own;
        }
        if (_second is not null && _transport.TrySetQueueVector(queue.Index, 1))
        {
            _second.Add(queue);
            return 1;
        }
        if (_transport.TrySetQueueVector(queue.Index, 0))
        {
            _first!.Add(queue);
            return 0;
        }
        Log.Write(LogLevel.Warning, "virtio", "the device refused every vector for a queue, which is polled", queue.Index);
        _transport.TrySetQueueVector(queue.Index, VirtioTransport.NoVector);
        IsPolled = true;
        return VirtioTransport.NoVector;
    }

    internal void Release() => _transport.ReleaseInterrupts();

    /// <summary>One interrupt for several queues, and for the configuration.</summary>
    private sealed class SharedInterrupt : InterruptHandler
    {
        private const byte QueueBit = 1;
        private const byte ConfigBit = 2;

        private readonly VirtioTransport _transport;
        private readonly bool _readStatus;
        private readonly InterruptHandler? _configChanged;
        private Virtqueue[] _queues = new Virtqueue[2];
        private int _count;

        internal SharedInterrupt(VirtioTransport transport, bool readStatus, InterruptHandler? configChanged)
        {
            _transport = transport;
            _readStatus = readStatus;
            _configChanged = configChanged;
        }

        internal void Add(Virtqueue queue)
        {
            if (_count == _queues.Length)
            {
                Array.Resize(ref _queues, _count * 2);
            }
            _queues[_count++] = queue;
        }

        public override bool OnInterrupt()
        {
            // Without vectors the device says why it interrupts, and lowers its line when it is asked (4.1.4.5.1).
            byte status = _readStatus ? _transport.ReadInterruptStatus() : (byte)(QueueBit | ConfigBit);
            if (status == 0)
            {
                return false;
            }
            for (int i = 0; i < _count; i++)
            {
                _queues[i].OnInterrupt();
            }
            if ((status & ConfigBit) != 0)
            {
                _configChanged?.OnInterrupt();
            }
            return true;
        }
    }
}
