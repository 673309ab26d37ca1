// virtio over MMIO: what both versions of the register layout have in common (virtio 4.2).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>Registers at a fixed place and one interrupt line, which is acknowledged by hand.</summary>
public abstract class MmioTransport : VirtioTransport
{
    private readonly PlatformDevice _device;
    private readonly IoWindow _config;
    private InterruptHandler? _handler;

    private protected MmioTransport(PlatformDevice device, in IoWindow registers, ushort type)
    {
        _device = device;
        Registers = registers;
        DeviceType = type;
        IoWindow.TryCreate(device.Registers, MmioRegisters.Config, device.Registers.Length - MmioRegisters.Config, out _config);
    }

    /// <inheritdoc/>
    public override ushort DeviceType { get; }

    /// <inheritdoc/>
    public override DmaSpace Dma => _device.Dma;

    /// <inheritdoc/>
    public override Clock Clock => _device.Clock;

    /// <inheritdoc/>
    public override uint ConfigLength => (uint)_config.Length;

    /// <summary>The registers up to the device's configuration.</summary>
    private protected IoWindow Registers { get; }

    /// <summary>
    /// Looks at magic, version and device id, in that order (4.2.3.1.1). A placeholder without a device is nobody's and is not touched any
    /// further; what is no virtio device, or one of an unknown version, fails with a reason.
    /// </summary>
    public static ProbeResult TryCreate(PlatformDevice device, out MmioTransport? transport)
    {
        transport = null;
        if (device.Registers.Length > uint.MaxValue || !IoWindow.TryCreate(device.Registers, 0, MmioRegisters.Config, out IoWindow registers))
        {
            return ProbeResult.Failed("the registers of virtio-mmio need 256 bytes", device.Registers.Length);
        }
        uint magic = registers.Read32(MmioRegisters.MagicValue);
        if (magic != MmioRegisters.Magic)
        {
            return ProbeResult.Failed("the magic value is not that of virtio", magic);
        }
        uint version = registers.Read32(MmioRegisters.Version);
        if (version is not (MmioRegisters.LegacyVersion or MmioRegisters.ModernVersion))
        {
            return ProbeResult.Failed("a version of virtio-mmio that is not known", version);
        }
        uint type = registers.Read32(MmioRegisters.DeviceId);
        if (type is 0 or > ushort.MaxValue)
        {
            return ProbeResult.NotMine;
        }
        transport = version == MmioRegisters.ModernVersion
            ? new ModernMmioTransport(device, registers, (ushort)type)
            : new LegacyMmioTransport(device, registers, (ushort)type);
        return ProbeResult.Bound;
    }

    /// <inheritdoc/>
    public override byte ReadStatus() => (byte)Registers.Read32(MmioRegisters.Status);

    /// <inheritdoc/>
    public override void WriteStatus(byte status) => Registers.Write32(MmioRegisters.Status, status);

    /// <inheritdoc/>
    public override byte ReadConfig8(ushort offset) => _config.Read8(offset);

    /// <inheritdoc/>
    public override ushort ReadConfig16(ushort offset) => _config.Read16(offset);

    /// <inheritdoc/>
    public override uint ReadConfig32(ushort offset) => _config.Read32(offset);

    /// <inheritdoc/>
    public override void WriteConfig8(ushort offset, byte value) => _config.Write8(offset, value);

    /// <inheritdoc/>
    public override void WriteConfig16(ushort offset, ushort value) => _config.Write16(offset, value);

    /// <inheritdoc/>
    public override void WriteConfig32(ushort offset, uint value) => _config.Write32(offset, value);

    /// <inheritdoc/>
    public override ushort ReadMaxQueueSize(ushort queue)
    {
        Select(queue);
        return (ushort)Math.Min(Registers.Read32(MmioRegisters.QueueSizeMax), ushort.MaxValue);
    }

    /// <summary>There are no vectors: the configuration interrupts on the same line.</summary>
    public override bool TrySetConfigVector(ushort vector) => false;

    /// <inheritdoc/>
    public override bool TrySetQueueVector(ushort queue, ushort vector) => vector == NoVector;

    /// <inheritdoc/>
    public override void Notify(ushort queue) => Registers.Write32(MmioRegisters.QueueNotify, queue);

    /// <summary>Reads the interrupt status and acknowledges what it says, undefined bits aside (4.2.2.2).</summary>
    public override byte ReadInterruptStatus()
    {
        uint status = Registers.Read32(MmioRegisters.InterruptStatus) & MmioRegisters.InterruptBits;
        if (status != 0)
        {
            Registers.Write32(MmioRegisters.InterruptAcknowledge, status);
        }
        return (byte)status;
    }

    /// <inheritdoc/>
    public override ushort PrepareInterrupts(ushort wanted, out InterruptKind kind)
    {
        ReleaseInterrupts();
        kind = wanted == 0 ? InterruptKind.None : InterruptKind.Pin;
        return (ushort)(wanted == 0 ? 0 : 1);
    }

    /// <inheritdoc/>
    public override bool TryAttachInterrupt(ushort vector, InterruptHandler handler)
    {
        if (vector != 0 || _handler is not null || !_device.TryAttachInterrupt(handler))
        {
            return false;
        }
        _handler = handler;
        return true;
    }

    /// <inheritdoc/>
    public override void ReleaseInterrupts()
    {
        if (_handler is not null)
        {
            _device.DetachInterrupt(_handler);
            _handler = null;
        }
    }

    /// <summary>Nothing but its reset keeps an MMIO device from memory.</summary>
    public override void Disable()
    {
    }

    private protected void Select(ushort queue) => Registers.Write32(MmioRegisters.QueueSelect, queue);

    private protected uint ReadFeatureWord(uint word)
    {
        Registers.Write32(MmioRegisters.DeviceFeaturesSelect, word);
        return Registers.Read32(MmioRegisters.DeviceFeatures);
    }

    private protected void WriteFeatureWord(uint word, uint features)
    {
        Registers.Write32(MmioRegisters.DriverFeaturesSelect, word);
        Registers.Write32(MmioRegisters.DriverFeatures, features);
    }
}
