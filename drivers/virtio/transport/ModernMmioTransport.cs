// virtio over MMIO, version 2 (virtio 4.2.2).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>The layout of virtio 1.0 and later: 64-bit addresses of each area, QueueReady.</summary>
public sealed class ModernMmioTransport : MmioTransport
{
    internal ModernMmioTransport(PlatformDevice device, in IoWindow registers, ushort type)
        : base(device, registers, type)
    {
    }

    /// <inheritdoc/>
    public override string Name => "virtio-mmio";

    /// <inheritdoc/>
    public override bool IsLegacy => false;

    /// <summary>Everything but NOTIF_CONFIG_DATA, which has no register here (4.2.2).</summary>
    public override ulong SupportedFeatures => ~VirtioFeature.NotifConfigData;

    /// <inheritdoc/>
    public override ulong ReadDeviceFeatures() => ReadFeatureWord(0) | (ulong)ReadFeatureWord(1) << 32;

    /// <inheritdoc/>
    public override void WriteDriverFeatures(ulong features)
    {
        WriteFeatureWord(0, (uint)features);
        WriteFeatureWord(1, (uint)(features >> 32));
    }

    /// <inheritdoc/>
    public override byte ReadConfigGeneration() => (byte)Registers.Read32(MmioRegisters.ConfigGeneration);

    /// <inheritdoc/>
    public override bool IsQueueEnabled(ushort queue)
    {
        Select(queue);
        return Registers.Read32(MmioRegisters.QueueReady) != 0;
    }

    /// <summary>There is nothing that could be refused but the queue as a whole.</summary>
    public override ProbeResult EnableQueue(ushort queue, ushort size, in VirtqueueAddresses addresses)
    {
        Select(queue);
        Registers.Write32(MmioRegisters.QueueSize, size);
        Write64(MmioRegisters.QueueDescriptorArea, addresses.DescriptorArea);
        Write64(MmioRegisters.QueueDriverArea, addresses.DriverArea);
        Write64(MmioRegisters.QueueDeviceArea, addresses.DeviceArea);
        Registers.Write32(MmioRegisters.QueueReady, 1);
        return Registers.Read32(MmioRegisters.QueueReady) == 1 ? ProbeResult.Bound : ProbeResult.Failed(QueueStaysOff, queue);
    }

    /// <inheritdoc/>
    public override void NotifyWithPosition(ushort queue, ushort position) =>
        Registers.Write32(MmioRegisters.QueueNotify, queue | (uint)position << 16);

    /// <inheritdoc/>
    public override void BeginQueueReset(ushort queue)
    {
        Select(queue);
        Registers.Write32(MmioRegisters.QueueReset, 1);
    }

    /// <inheritdoc/>
    public override bool IsQueueReset(ushort queue)
    {
        Select(queue);
        return Registers.Read32(MmioRegisters.QueueReset) == 0;
    }

    private void Write64(ulong offset, ulong value)
    {
        Registers.Write32(offset, (uint)value);
        Registers.Write32(offset + 4, (uint)(value >> 32));
    }
}
