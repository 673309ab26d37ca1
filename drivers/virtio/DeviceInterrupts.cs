// Which interrupt belongs to which queue of a device (virtio 4.1.5.1.2).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio;

/// <summary>
/// Divides the vectors: one for the configuration and one for each queue; where there are fewer, one for the configuration and one for
/// all queues; with a single one, or a pin, everything on it; with none, polling.
/// </summary>
internal sealed class DeviceInterrupts
{
    private readonly VirtioTransport _transport;
    private SharedInterrupt? _shared;
    private ushort _queues;
    private ushort _granted;

    internal DeviceInterrupts(VirtioTransport transport) => _transport = transport;

    internal InterruptKind Kind { get; private set; }

    internal ushort VectorCount => _granted;

    internal bool TryPrepare(ushort queues, InterruptHandler configChanged)
    {
        _queues = queues;
        _granted = _transport.PrepareInterrupts((ushort)(queues + 1), out InterruptKind kind);
        Kind = kind;
        if (_granted == 0)
        {
            Kind = InterruptKind.None;
            return true;
        }
        if (kind == InterruptKind.Pin)
        {
            _shared = new SharedInterrupt(_transport, readStatus: true, configChanged);
            Attach(0, _shared);
            return true;
        }
        if (_granted <= queues)
        {
            _shared = new SharedInterrupt(_transport, readStatus: false, _granted == 1 ? configChanged : null);
            Attach((ushort)(_granted == 1 ? 0 : 1), _shared);
        }
        if (_granted > 1)
        {
            Attach(0, configChanged);
        }
        return TryRestoreConfigVector();
    }

    /// <summary>Sets the vector of configuration changes, which a reset of the device forgets; false when the device refuses it.</summary>
    internal bool TryRestoreConfigVector() => _granted == 0 || Kind != InterruptKind.MsiX || _transport.TrySetConfigVector(0);

    /// <summary>The vector to write to the queue's register.</summary>
    internal ushort VectorOf(ushort queue)
    {
        if (_granted == 0 || Kind is InterruptKind.Pin or InterruptKind.None)
        {
            return VirtioTransport.NoVector;
        }
        return (ushort)(_granted > _queues ? queue + 1 : _granted == 1 ? 0 : 1);
    }

    internal bool TryAttachQueue(Virtqueue queue, ushort vector)
    {
        if (_shared is not null)
        {
            _shared.Add(queue);
            return true;
        }
        return vector == VirtioTransport.NoVector || _transport.TryAttachInterrupt(vector, queue);
    }

    internal void Release() => _transport.ReleaseInterrupts();

    private void Attach(ushort vector, InterruptHandler handler)
    {
        if (!_transport.TryAttachInterrupt(vector, handler))
        {
            // Without this interrupt the device is polled; that is slower and loses nothing.
            Log.Write(LogLevel.Warning, "virtio", "an interrupt could not be attached; the device is polled", vector);
        }
    }

    /// <summary>One interrupt for several queues, and for the configuration where there is only one.</summary>
    private sealed class SharedInterrupt : InterruptHandler
    {
        private readonly VirtioTransport _transport;
        private readonly bool _readStatus;
        private readonly InterruptHandler? _configChanged;
        private readonly Virtqueue?[] _queues = new Virtqueue?[64];
        private int _count;

        internal SharedInterrupt(VirtioTransport transport, bool readStatus, InterruptHandler? configChanged)
        {
            _transport = transport;
            _readStatus = readStatus;
            _configChanged = configChanged;
        }

        internal void Add(Virtqueue queue)
        {
            if (_count < _queues.Length)
            {
                _queues[_count++] = queue;
            }
        }

        public override bool OnInterrupt()
        {
            byte status = _readStatus ? _transport.ReadInterruptStatus() : (byte)3;
            if (status == 0)
            {
                return false;
            }
            for (int i = 0; i < _count; i++)
            {
                _queues[i]!.OnInterrupt();
            }
            if ((status & 2) != 0)
            {
                _configChanged?.OnInterrupt();
            }
            return true;
        }
    }
}
