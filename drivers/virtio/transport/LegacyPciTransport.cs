// virtio over PCI from before 1.0: one block of registers in BAR 0 (virtio 4.1.4.10).
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>
/// The legacy interface: 32 features, queues of the size that the device says, given by the page number of one block of memory, and a device
/// configuration that lies 4 bytes farther on while MSI-X is on.
/// </summary>
public sealed class LegacyPciTransport : VirtioTransport
{
    private const int Bar = 0;
    private const uint PageSize = 4096;
    private const uint MaxLength = 4096;

    private const ulong DeviceFeatures = 0;
    private const ulong DriverFeatures = 4;
    private const ulong QueuePageNumber = 8;
    private const ulong QueueSize = 12;
    private const ulong QueueSelect = 14;
    private const ulong QueueNotify = 16;
    private const ulong Status = 18;
    private const ulong InterruptStatus = 19;
    private const ulong ConfigVector = 20;
    private const ulong QueueVector = 22;
    private const uint ConfigWithoutVectors = 20;
    private const uint ConfigWithVectors = 24;

    private readonly PciFunction _function;
    private readonly IoWindow _registers;
    private bool _hasVectors;

    private LegacyPciTransport(PciFunction function, ushort type, in IoWindow registers)
    {
        _function = function;
        _registers = registers;
        DeviceType = type;
        NoteLayout();
    }

    /// <inheritdoc/>
    public override string Name => "legacy PCI";

    /// <inheritdoc/>
    public override ushort DeviceType { get; }

    /// <inheritdoc/>
    public override bool IsLegacy => true;

    /// <inheritdoc/>
    public override ulong SupportedFeatures => uint.MaxValue;

    /// <inheritdoc/>
    public override bool CanChooseQueueSize => false;

    /// <inheritdoc/>
    public override uint RingAlignment => PageSize;

    /// <inheritdoc/>
    public override DmaSpace Dma => _function.Dma;

    /// <inheritdoc/>
    public override Clock Clock => _function.Clock;

    /// <inheritdoc/>
    public override uint ConfigLength => (uint)_registers.Length - ConfigStart;

    /// <inheritdoc/>
    public override bool IsPresent => _function.IsPresent || ModernPciTransport.IsSilent(_function, ReadStatus());

    private uint ConfigStart => _hasVectors ? ConfigWithVectors : ConfigWithoutVectors;

    /// <summary>Finds the registers; failed with a reason when BAR 0 does not hold them.</summary>
    public static ProbeResult TryCreate(PciFunction function, ushort type, out LegacyPciTransport? transport)
    {
        transport = null;
        ProbeResult enabled = VirtioPciDriver.Enable(function);
        if (!enabled.IsBound)
        {
            return enabled;
        }
        if (!MayHoldRegisters(function) || !function.TryMapBar(Bar, out IoRegion? region) || region!.Length < ConfigWithVectors ||
            !IoWindow.TryCreate(region, 0, Math.Min(region.Length, MaxLength), out IoWindow registers))
        {
            function.Disable();
            return ProbeResult.Failed("BAR 0 does not hold the registers of the legacy interface, or nobody assigned it", 0);
        }
        transport = new LegacyPciTransport(function, type, registers);
        return ProbeResult.Bound;
    }

    /// <inheritdoc/>
    public override byte ReadStatus() => _registers.Read8(Status);

    /// <inheritdoc/>
    public override void WriteStatus(byte status) => _registers.Write8(Status, status);

    /// <inheritdoc/>
    public override ulong ReadDeviceFeatures() => _registers.Read32(DeviceFeatures);

    /// <inheritdoc/>
    public override void WriteDriverFeatures(ulong features) => _registers.Write32(DriverFeatures, (uint)features);

    /// <summary>There is none: 0.</summary>
    public override byte ReadConfigGeneration() => 0;

    /// <inheritdoc/>
    public override byte ReadConfig8(ushort offset) => _registers.Read8(ConfigStart + offset);

    /// <inheritdoc/>
    public override ushort ReadConfig16(ushort offset) => _registers.Read16(ConfigStart + offset);

    /// <inheritdoc/>
    public override uint ReadConfig32(ushort offset) => _registers.Read32(ConfigStart + offset);

    /// <inheritdoc/>
    public override void WriteConfig8(ushort offset, byte value) => _registers.Write8(ConfigStart + offset, value);

    /// <inheritdoc/>
    public override void WriteConfig16(ushort offset, ushort value) => _registers.Write16(ConfigStart + offset, value);

    /// <inheritdoc/>
    public override void WriteConfig32(ushort offset, uint value) => _registers.Write32(ConfigStart + offset, value);

    /// <inheritdoc/>
    public override ushort ReadMaxQueueSize(ushort queue)
    {
        Select(queue);
        return _registers.Read16(QueueSize);
    }

    /// <inheritdoc/>
    public override bool IsQueueEnabled(ushort queue)
    {
        Select(queue);
        return _registers.Read32(QueuePageNumber) != 0;
    }

    /// <summary>Gives the page number of the ring; failed for a ring beyond what 32 bits of it can say.</summary>
    public override ProbeResult EnableQueue(ushort queue, ushort size, in VirtqueueAddresses addresses)
    {
        if (!addresses.TryGetPageNumber(PageSize, out uint page))
        {
            return ProbeResult.Failed("a queue lies where the legacy interface can't name it", addresses.DescriptorArea);
        }
        Select(queue);
        if (_registers.Read16(QueueSize) != size)
        {
            return ProbeResult.Failed("the device changed the size of a queue", queue);
        }
        _registers.Write32(QueuePageNumber, page);
        return _registers.Read32(QueuePageNumber) == page ? ProbeResult.Bound : ProbeResult.Failed(QueueStaysOff, queue);
    }

    /// <inheritdoc/>
    public override bool TrySetQueueVector(ushort queue, ushort vector)
    {
        if (!_hasVectors)
        {
            return vector == NoVector;
        }
        Select(queue);
        _registers.Write16(QueueVector, vector);
        return vector == NoVector || _registers.Read16(QueueVector) == vector;
    }

    /// <inheritdoc/>
    public override bool TrySetConfigVector(ushort vector)
    {
        if (!_hasVectors)
        {
            return false;
        }
        _registers.Write16(ConfigVector, vector);
        return _registers.Read16(ConfigVector) == vector;
    }

    /// <inheritdoc/>
    public override void Notify(ushort queue) => _registers.Write16(QueueNotify, queue);

    /// <inheritdoc/>
    public override byte ReadInterruptStatus() => _registers.Read8(InterruptStatus);

    /// <inheritdoc/>
    public override ushort PrepareInterrupts(ushort wanted, out InterruptKind kind)
    {
        ushort granted = _function.PrepareInterrupts(wanted, out kind);
        NoteLayout();
        return granted;
    }

    /// <inheritdoc/>
    public override bool TryAttachInterrupt(ushort vector, InterruptHandler handler) => _function.TryAttachInterrupt(vector, handler);

    /// <inheritdoc/>
    public override void ReleaseInterrupts()
    {
        _function.ReleaseInterrupts();
        NoteLayout();
    }

    /// <inheritdoc/>
    public override void Disable() => _function.Disable();

    /// <summary>
    /// The registers are in ports (4.1.4.10). Some devices without ports have them in memory; but where a function has structures of the modern
    /// interface, or its MSI-X table, these may be what lies there.
    /// </summary>
    private static bool MayHoldRegisters(PciFunction function) =>
        function.TryGetBar(Bar, out PciBar bar) && (bar.IsPorts || !PciCapabilities.TryFind(function, PciRegisters.CapabilityVendor, out _)) &&
        !(PciCapabilities.TryFind(function, PciRegisters.CapabilityMsix, out byte msix) && TableBar(function, msix) == Bar);

    private static int TableBar(PciFunction function, byte capability) =>
        capability + 8 <= PciRegisters.CapabilitiesEnd ? (int)(function.ReadConfig32((ushort)(capability + 4)) & 7) : -1;

    private void Select(ushort queue) => _registers.Write16(QueueSelect, queue);

    /// <summary>Asks the function itself whether MSI-X is on, which moves the configuration; firmware may have left it so.</summary>
    private void NoteLayout() =>
        _hasVectors = PciCapabilities.TryFind(_function, PciRegisters.CapabilityMsix, out byte capability) &&
            (_function.ReadConfig16((ushort)(capability + 2)) & PciRegisters.MsixEnable) != 0;
}
