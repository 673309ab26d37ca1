// virtio over PCI as of 1.0: structures in BARs (virtio 4.1).
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>The registers of a modern device, each accessed with its own width (4.1.3.1).</summary>
public sealed class ModernPciTransport : VirtioTransport
{
    private readonly PciFunction _function;
    private readonly IoWindow _common;
    private readonly IoWindow _notify;
    private readonly IoWindow _isr;
    private readonly IoWindow _device;
    private readonly uint _notifyMultiplier;
    private readonly bool _canNotifyWithPosition;
    private readonly SharedMemoryRegion[] _sharedMemory;
    private Doorbell[] _doorbells = new Doorbell[4];
    private ulong _features;

    private ModernPciTransport(PciFunction function, ushort type, in VirtioPciCapabilities found)
    {
        _function = function;
        DeviceType = type;
        Name = found.UsesConfigAccess ? "modern PCI (through config space)"
            : found.NotifiesByPorts ? "modern PCI (notified by a port)"
            : "modern PCI";
        _common = found.Common;
        _notify = found.Notify;
        _isr = found.Isr;
        _device = found.Device;
        _notifyMultiplier = found.NotifyMultiplier;
        _canNotifyWithPosition = found.CanNotifyWithPosition;
        _sharedMemory = found.SharedMemory;
    }

    /// <inheritdoc/>
    public override string Name { get; }

    /// <inheritdoc/>
    public override ushort DeviceType { get; }

    /// <inheritdoc/>
    public override bool IsLegacy => false;

    /// <inheritdoc/>
    public override ulong SupportedFeatures =>
        ~((_common.Contains(VirtioPciRegisters.QueueNotifyConfigData, 2) ? 0 : VirtioFeature.NotifConfigData) |
            (_common.Contains(VirtioPciRegisters.QueueReset, 2) ? 0 : VirtioFeature.RingReset) |
            (_canNotifyWithPosition ? 0 : VirtioFeature.NotificationData));

    /// <inheritdoc/>
    public override DmaSpace Dma => _function.Dma;

    /// <inheritdoc/>
    public override Clock Clock => _function.Clock;

    /// <inheritdoc/>
    public override uint ConfigLength => (uint)_device.Length;

    /// <inheritdoc/>
    public override bool IsPresent => _function.IsPresent || IsSilent(_function, ReadStatus());

    /// <summary>True when the features that were read last have VERSION_1; a device without it is a legacy one (virtio 2.2.3).</summary>
    internal bool OffersVersion1 { get; private set; } = true;

    /// <summary>The function behind the transport.</summary>
    public PciFunction Function => _function;

    /// <summary>Finds the structures of a modern device; failed with a reason when a required one is missing or unusable.</summary>
    public static ProbeResult TryCreate(PciFunction function, ushort type, out ModernPciTransport? transport)
    {
        transport = null;
        ProbeResult enabled = VirtioPciDriver.Enable(function);
        if (!enabled.IsBound)
        {
            return enabled;
        }
        VirtioPciCapabilities found = VirtioPciCapabilities.Find(function);
        ProbeResult usable = found.Check();
        if (!usable.IsBound)
        {
            function.Disable();
            return usable;
        }
        transport = new ModernPciTransport(function, type, found);
        return ProbeResult.Bound;
    }

    /// <inheritdoc/>
    public override byte ReadStatus() => _common.Read8(VirtioPciRegisters.Status);

    /// <inheritdoc/>
    public override void WriteStatus(byte status) => _common.Write8(VirtioPciRegisters.Status, status);

    /// <inheritdoc/>
    public override ulong ReadDeviceFeatures()
    {
        _common.Write32(VirtioPciRegisters.DeviceFeatureSelect, 0);
        ulong low = _common.Read32(VirtioPciRegisters.DeviceFeature);
        _common.Write32(VirtioPciRegisters.DeviceFeatureSelect, 1);
        ulong features = low | (ulong)_common.Read32(VirtioPciRegisters.DeviceFeature) << 32;
        OffersVersion1 = (features & VirtioFeature.Version1) != 0;
        return features;
    }

    /// <inheritdoc/>
    public override void WriteDriverFeatures(ulong features)
    {
        _features = features;
        _common.Write32(VirtioPciRegisters.DriverFeatureSelect, 0);
        _common.Write32(VirtioPciRegisters.DriverFeature, (uint)features);
        _common.Write32(VirtioPciRegisters.DriverFeatureSelect, 1);
        _common.Write32(VirtioPciRegisters.DriverFeature, (uint)(features >> 32));
    }

    /// <inheritdoc/>
    public override byte ReadConfigGeneration() => _common.Read8(VirtioPciRegisters.ConfigGeneration);

    /// <inheritdoc/>
    public override byte ReadConfig8(ushort offset) => _device.Read8(offset);

    /// <inheritdoc/>
    public override ushort ReadConfig16(ushort offset) => _device.Read16(offset);

    /// <inheritdoc/>
    public override uint ReadConfig32(ushort offset) => _device.Read32(offset);

    /// <inheritdoc/>
    public override void WriteConfig8(ushort offset, byte value) => _device.Write8(offset, value);

    /// <inheritdoc/>
    public override void WriteConfig16(ushort offset, ushort value) => _device.Write16(offset, value);

    /// <inheritdoc/>
    public override void WriteConfig32(ushort offset, uint value) => _device.Write32(offset, value);

    /// <inheritdoc/>
    public override ushort ReadQueueCount() => _common.Read16(VirtioPciRegisters.NumQueues);

    /// <inheritdoc/>
    public override ushort ReadMaxQueueSize(ushort queue)
    {
        if (queue >= ReadQueueCount())
        {
            return 0;
        }
        Select(queue);
        return _common.Read16(VirtioPciRegisters.QueueSize);
    }

    /// <inheritdoc/>
    public override bool IsQueueEnabled(ushort queue)
    {
        Select(queue);
        return _common.Read16(VirtioPciRegisters.QueueEnable) != 0;
    }

    /// <inheritdoc/>
    public override ProbeResult EnableQueue(ushort queue, ushort size, in VirtqueueAddresses addresses)
    {
        Select(queue);
        _common.Write16(VirtioPciRegisters.QueueSize, size);
        if (_common.Read16(VirtioPciRegisters.QueueSize) != size)
        {
            return ProbeResult.Failed("the device does not take the size that it was given for a queue", queue);
        }
        if (!TryNoteDoorbell(queue))
        {
            return ProbeResult.Failed("the doorbell of a queue lies outside the region for notifications", queue);
        }
        Write64(VirtioPciRegisters.QueueDescriptorArea, addresses.DescriptorArea);
        Write64(VirtioPciRegisters.QueueDriverArea, addresses.DriverArea);
        Write64(VirtioPciRegisters.QueueDeviceArea, addresses.DeviceArea);
        _common.Write16(VirtioPciRegisters.QueueEnable, 1);
        return _common.Read16(VirtioPciRegisters.QueueEnable) == 1 ? ProbeResult.Bound : ProbeResult.Failed(QueueStaysOff, queue);
    }

    /// <inheritdoc/>
    public override bool TrySetQueueVector(ushort queue, ushort vector)
    {
        Select(queue);
        _common.Write16(VirtioPciRegisters.QueueMsixVector, vector);
        return vector == NoVector || _common.Read16(VirtioPciRegisters.QueueMsixVector) == vector;
    }

    /// <inheritdoc/>
    public override bool TrySetConfigVector(ushort vector)
    {
        _common.Write16(VirtioPciRegisters.ConfigMsixVector, vector);
        return _common.Read16(VirtioPciRegisters.ConfigMsixVector) == vector;
    }

    /// <inheritdoc/>
    public override void Notify(ushort queue)
    {
        Doorbell doorbell = _doorbells[queue];
        _notify.Write16(doorbell.Offset, doorbell.Value);
    }

    /// <inheritdoc/>
    public override void NotifyWithPosition(ushort queue, ushort position)
    {
        Doorbell doorbell = _doorbells[queue];
        _notify.Write32(doorbell.Offset, doorbell.Value | (uint)position << 16);
    }

    /// <inheritdoc/>
    public override void BeginQueueReset(ushort queue)
    {
        Select(queue);
        _common.Write16(VirtioPciRegisters.QueueReset, 1);
    }

    /// <inheritdoc/>
    public override bool IsQueueReset(ushort queue)
    {
        Select(queue);
        return _common.Read16(VirtioPciRegisters.QueueReset) == 0;
    }

    /// <inheritdoc/>
    public override int SharedMemoryCount => _sharedMemory.Length;

    /// <inheritdoc/>
    public override SharedMemoryRegion SharedMemory(int number) => _sharedMemory[number];

    /// <inheritdoc/>
    public override byte ReadInterruptStatus() => _isr.Read8(0);

    /// <inheritdoc/>
    public override ushort PrepareInterrupts(ushort wanted, out InterruptKind kind) => _function.PrepareInterrupts(wanted, out kind);

    /// <inheritdoc/>
    public override bool TryAttachInterrupt(ushort vector, InterruptHandler handler) => _function.TryAttachInterrupt(vector, handler);

    /// <inheritdoc/>
    public override void ReleaseInterrupts() => _function.ReleaseInterrupts();

    /// <inheritdoc/>
    public override void Disable() => _function.Disable();

    /// <summary>
    /// True for a function whose config space is gone and whose registers are not: it is there, and its memory may not be taken away from it
    /// before it was reset. What has another function in its place is not touched.
    /// </summary>
    internal static bool IsSilent(PciFunction function, byte status) =>
        status != byte.MaxValue && function.ReadConfig16(PciRegisters.VendorId) == PciRegisters.NoVendor;

    private void Select(ushort queue) => _common.Write16(VirtioPciRegisters.QueueSelect, queue);

    private void Write64(ulong offset, ulong value)
    {
        _common.Write32(offset, (uint)value);
        _common.Write32(offset + 4, (uint)(value >> 32));
    }

    private bool Has(ulong feature) => (_features & feature) != 0;

    /// <summary>
    /// Computes where the selected queue is notified (4.1.4.4) and what is written there (4.1.5.2), once; false when that is outside the
    /// device's region.
    /// </summary>
    private bool TryNoteDoorbell(ushort queue)
    {
        ulong offset = (ulong)_common.Read16(VirtioPciRegisters.QueueNotifyOffset) * _notifyMultiplier;
        if (!_notify.Contains(offset, Has(VirtioFeature.NotificationData) ? 4u : 2u))
        {
            return false;
        }
        if (queue >= _doorbells.Length)
        {
            Array.Resize(ref _doorbells, queue + 4);
        }
        ushort value = Has(VirtioFeature.NotifConfigData) ? _common.Read16(VirtioPciRegisters.QueueNotifyConfigData) : queue;
        _doorbells[queue] = new Doorbell(offset, value);
        return true;
    }

    /// <summary>How the device is told about a queue: where in the region of notifications, and what stands for the queue there.</summary>
    private readonly struct Doorbell
    {
        internal Doorbell(ulong offset, ushort value)
        {
            Offset = offset;
            Value = value;
        }

        internal ulong Offset { get; }

        internal ushort Value { get; }
    }
}
