// The life of a virtio device: the one who writes its status, in the order of virtio 3.1.1.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio;

/// <summary>
/// Takes a device through its life: reset, features, queues, start, failure, end. A driver calls <see cref="Negotiate"/>,
/// <see cref="PrepareInterrupts"/>, <see cref="CreateQueue"/> for each queue and <see cref="Start"/>, in this order.
/// </summary>
public sealed partial class VirtioDevice
{
    private const ulong ResetTimeout = 1_000_000_000;
    private const int ResetPolls = 1_000_000;
    private const int GenerationTries = 16;
    private const byte Nobody = 0xFF; // what a bus reads where no device answers
    private const ulong LegacyFeatures = uint.MaxValue;

    private readonly DeviceInterrupts _interrupts;
    private readonly NotedInterrupt _configInterrupt = new();
    private Virtqueue[] _queues = new Virtqueue[2];
    private ushort[] _vectors = new ushort[2];
    private int _queueCount;
    private byte _status;

    /// <summary>Takes charge of the device behind <paramref name="transport"/> for <paramref name="driver"/>; nothing is touched yet.</summary>
    public VirtioDevice(VirtioTransport transport, VirtioDriver? driver = null)
    {
        Transport = transport;
        Driver = driver;
        _interrupts = new DeviceInterrupts(transport);
    }

    /// <summary>The registers.</summary>
    public VirtioTransport Transport { get; }

    /// <summary>The driver that it was taken charge of for; null for none.</summary>
    public VirtioDriver? Driver { get; }

    /// <summary>What the device offered.</summary>
    public ulong OfferedFeatures { get; private set; }

    /// <summary>What was agreed on.</summary>
    public ulong Features { get; private set; }

    /// <summary>How the device interrupts.</summary>
    public InterruptKind InterruptKind => _interrupts.Kind;

    /// <summary>How many vectors are in use.</summary>
    public ushort VectorCount => _interrupts.VectorCount;

    /// <summary>True when a queue has no interrupt: whoever waits for it has to look.</summary>
    public bool IsPolled => _interrupts.IsPolled;

    /// <summary>How many queues there are.</summary>
    public int QueueCount => _queueCount;

    /// <summary>True after <see cref="Start"/> and before any failure.</summary>
    public bool IsRunning { get; private set; }

    /// <summary>The queue created as number <paramref name="number"/>, from 0.</summary>
    public Virtqueue Queue(int number)
    {
        Contract.Require((uint)number < (uint)_queueCount, "no queue has this number");
        return _queues[number];
    }

    /// <summary>True when a feature was agreed on.</summary>
    public bool Has(ulong feature) => (Features & feature) == feature;

    /// <summary>
    /// Steps 1 to 6 of virtio 3.1.1: reset, acknowledge, agree on features and see that the device agrees. All bits of
    /// <paramref name="required"/> have to be offered; of <paramref name="supported"/> those are taken that are.
    /// VERSION_1 is asked for by itself where the interface knows it.
    /// </summary>
    public ProbeResult Negotiate(ulong required, ulong supported)
    {
        ProbeResult result = Begin();
        return result.IsBound ? Agree(required, supported) : result;
    }

    /// <summary>
    /// Steps 1 to 4 of virtio 3.1.1 up to where the driver decides: <see cref="OfferedFeatures"/> and those fields of the configuration
    /// whose features are offered can be read afterwards, and <see cref="Agree"/> follows.
    /// </summary>
    public ProbeResult Begin()
    {
        // 1. Reset; firmware may have left the device running.
        if (!TryReset())
        {
            // It may still be at work for somebody else: it is told, and cut off from memory.
            byte status = Transport.ReadStatus();
            AddStatus(DeviceStatus.Failed);
            Transport.Disable();
            return ProbeResult.Failed(
                status == Nobody ? "nobody answers: the status of the device reads as ones" : "the device does not come out of reset", status);
        }
        // 2. and 3. There is somebody, who knows what to do.
        AddStatus(DeviceStatus.Acknowledge);
        AddStatus(DeviceStatus.Driver);
        // 4. Features.
        OfferedFeatures = Transport.ReadDeviceFeatures();
        return (OfferedFeatures & VirtioFeature.Version1) == 0 && !Transport.IsLegacy
            ? Fail("the device does not offer VERSION_1", OfferedFeatures)
            : ProbeResult.Bound;
    }

    /// <summary>Steps 4 to 6 of virtio 3.1.1, after <see cref="Begin"/>; see <see cref="Negotiate"/>.</summary>
    public ProbeResult Agree(ulong required, ulong supported)
    {
        if (Transport.IsLegacy)
        {
            required &= ~VirtioFeature.Version1;
            supported = supported & LegacyFeatures | VirtioFeature.AnyLayout;
        }
        else
        {
            required |= VirtioFeature.Version1;
        }
        ulong missing = required & ~OfferedFeatures;
        if (missing != 0)
        {
            return Fail("the device lacks a feature that the driver needs", missing);
        }
        return AcceptFeatures(OfferedFeatures & (supported | required) & (Transport.SupportedFeatures | ~VirtioFeature.Reserved));
    }

    /// <summary>
    /// Chooses interrupts for <paramref name="queues"/> queues and the configuration: a vector each where there are enough, shared ones
    /// else, MSI, the pin, or none. What the device or the machine refuses is made good for by the next best. See
    /// <see cref="TakeConfigChange"/> for changes of the configuration.
    /// </summary>
    public void PrepareInterrupts(ushort queues) => _interrupts.Prepare(queues, _configInterrupt);

    /// <summary>
    /// Creates and enables the queue <paramref name="index"/> with at most <paramref name="maxSize"/> descriptors (virtio 4.1.5.1.3), in
    /// the format agreed on. Where the device alone says how large a queue is, it may be larger.
    /// </summary>
    public ProbeResult CreateQueue(ushort index, ushort maxSize, out Virtqueue? queue)
    {
        queue = null;
        ushort offered = Transport.ReadMaxQueueSize(index);
        if (offered == 0)
        {
            return Fail("the device lacks a queue that its type has", index);
        }
        if (!Virtqueue.TryChooseSize(Features, offered, Transport.CanChooseQueueSize ? maxSize : ushort.MaxValue, out ushort size))
        {
            return Fail("the device offers a queue size that is no power of two up to 32768", offered);
        }
        if (Transport.IsQueueEnabled(index))
        {
            return Fail("the device has a queue enabled after its reset", index);
        }
        if (!Virtqueue.TryCreate(Transport, index, size, Features, out Virtqueue? created))
        {
            return Fail("there is no memory for a queue of this size", size);
        }
        // The device may have taken the queue even when it does not say so: the ring is freed after the reset, with the others.
        AddQueue(created!, _interrupts.Attach(created!));
        ProbeResult enabled = Transport.EnableQueue(index, size, created!.Addresses);
        if (!enabled.IsBound)
        {
            return Fail(enabled.Reason, enabled.Value);
        }
        queue = created;
        return ProbeResult.Bound;
    }

    /// <summary>Step 8 of virtio 3.1.1: the device may use its queues from here on.</summary>
    public void Start()
    {
        AddStatus(DeviceStatus.DriverOk);
        IsRunning = true;
    }

    /// <summary>True when the device said that its configuration or its status changed (virtio 2.3, 2.1.2) since the last call; clears it.</summary>
    public bool TakeConfigChange() => _configInterrupt.Take();

    /// <summary>True when the device says that it can't go on (virtio 2.1.2), or when nobody answers; the log says which.</summary>
    public bool NeedsReset()
    {
        byte status = Transport.ReadStatus();
        if ((status & DeviceStatus.NeedsReset) == 0)
        {
            return false;
        }
        string what = status == Nobody ? "the device does not answer any more; its status" : "the device asks for a reset; its status";
        Log.Write(LogLevel.Warning, "virtio", what, status);
        return true;
    }

    /// <summary>
    /// Gives the device up during its set-up: status FAILED, reset, everything released. Answers with the reason, for the caller to
    /// return.
    /// </summary>
    public ProbeResult Fail(string reason, ulong value)
    {
        AddStatus(DeviceStatus.Failed);
        End();
        return ProbeResult.Failed(reason, value);
    }

    /// <summary>
    /// Stops the device for good: reset awaited, bus mastering off, interrupts released. Buffers in flight can be detached afterwards.
    /// A device that has left its bus counts as reset: it can't reach memory any more.
    /// The rings' memory is freed by <see cref="FreeQueues"/>, and only when the reset was seen.
    /// </summary>
    public bool Stop()
    {
        IsRunning = false;
        // It may leave while its reset is waited for.
        bool reset = !Transport.IsPresent || TryReset() || !Transport.IsPresent;
        for (int i = 0; i < _queueCount && !reset; i++)
        {
            _queues[i].Abandon();
        }
        Transport.Disable();
        _interrupts.Release();
        return reset;
    }

    /// <summary>Frees the rings after <see cref="Stop"/> and after all buffers were detached.</summary>
    public void FreeQueues()
    {
        for (int i = 0; i < _queueCount; i++)
        {
            _queues[i].Free();
        }
        _queueCount = 0;
    }

    /// <summary>
    /// Reads 64 bits of device configuration that belong together (virtio 2.5.1): again when the generation changed meanwhile, or with the
    /// legacy interface, which has none, until two readings agree; for a bounded number of times. False when the device never held still
    /// or has no such field.
    /// </summary>
    public bool TryReadConfig64(ushort offset, out ulong value)
    {
        value = 0;
        if (offset + 8u > Transport.ConfigLength)
        {
            return false;
        }
        for (int i = 0; i < GenerationTries; i++)
        {
            byte before = Transport.ReadConfigGeneration();
            value = ReadConfig64Once(offset);
            if (Transport.ReadConfigGeneration() == before && (!Transport.IsLegacy || ReadConfig64Once(offset) == value))
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Reads 32 bits of device configuration; 0 where the device's configuration is too short.</summary>
    public uint ReadConfig32(ushort offset) => offset + 4u <= Transport.ConfigLength ? Transport.ReadConfig32(offset) : 0;

    /// <summary>Reads 16 bits of device configuration; 0 where the device's configuration is too short.</summary>
    public ushort ReadConfig16(ushort offset) => offset + 2u <= Transport.ConfigLength ? Transport.ReadConfig16(offset) : (ushort)0;

    /// <summary>Reads a byte of device configuration; 0 where the device's configuration is too short.</summary>
    public byte ReadConfig8(ushort offset) => offset + 1u <= Transport.ConfigLength ? Transport.ReadConfig8(offset) : (byte)0;

    /// <summary>Writes a byte of device configuration; false where the device's configuration is too short.</summary>
    public bool TryWriteConfig8(ushort offset, byte value)
    {
        if (offset + 1u > Transport.ConfigLength)
        {
            return false;
        }
        Transport.WriteConfig8(offset, value);
        return true;
    }

    /// <summary>Writes 32 bits of device configuration; false where the device's configuration is too short.</summary>
    public bool TryWriteConfig32(ushort offset, uint value)
    {
        if (offset + 4u > Transport.ConfigLength)
        {
            return false;
        }
        Transport.WriteConfig32(offset, value);
        return true;
    }

    private ulong ReadConfig64Once(ushort offset) =>
        Transport.ReadConfig32(offset) | (ulong)Transport.ReadConfig32((ushort)(offset + 4)) << 32;

    /// <summary>Steps 4 to 6 of virtio 3.1.1, from the chosen features on; the legacy interface ends with step 4 (3.1.2).</summary>
    private ProbeResult AcceptFeatures(ulong features)
    {
        Features = features;
        Transport.WriteDriverFeatures(features);
        if (Transport.IsLegacy)
        {
            return ProbeResult.Bound;
        }
        // 5. and 6. The device has the last word.
        AddStatus(DeviceStatus.FeaturesOk);
        byte agreed = Transport.ReadStatus();
        if ((agreed & DeviceStatus.FeaturesOk) == 0)
        {
            return Fail("the device did not accept the features", features);
        }
        if ((agreed & DeviceStatus.NeedsReset) != 0)
        {
            return Fail("the device asked for a reset while it was set up", agreed);
        }
        return ProbeResult.Bound;
    }

    /// <summary>Writes 0 to status and waits until the device says 0 (virtio 4.1.4.3.2), for a second at most.</summary>
    private bool TryReset()
    {
        _status = 0;
        Transport.WriteStatus(0);
        // Most devices answer at once: time is asked for only when this one does not.
        if (Transport.ReadStatus() == 0)
        {
            return true;
        }
        ulong deadline = Transport.Clock.Now + ResetTimeout;
        for (int i = 0; i < ResetPolls && Transport.Clock.Now < deadline; i++)
        {
            if (Transport.ReadStatus() == 0)
            {
                return true;
            }
            Transport.Clock.Pause();
        }
        return false;
    }

    /// <summary>Status bits are only ever added (virtio 2.1.1).</summary>
    private void AddStatus(byte bit)
    {
        _status |= bit;
        Transport.WriteStatus(_status);
    }

    private void End()
    {
        bool reset = Stop();
        if (reset)
        {
            FreeQueues();
        }
    }

    private void AddQueue(Virtqueue queue, ushort vector)
    {
        if (_queueCount == _queues.Length)
        {
            Array.Resize(ref _queues, _queueCount * 2);
            Array.Resize(ref _vectors, _queueCount * 2);
        }
        _queues[_queueCount] = queue;
        _vectors[_queueCount++] = vector;
    }
}
