// Config space: offsets and bits (PCI 3.0 chapter 6).
namespace VirtioSharp.Drivers.Pci;

/// <summary>Offsets into config space and the bits that are found there.</summary>
public static class PciRegisters
{
    /// <summary>Who made it, 16 bits; all ones where nothing is.</summary>
    public const ushort VendorId = 0x00;
    /// <summary>What it is, 16 bits.</summary>
    public const ushort DeviceId = 0x02;
    /// <summary>What the function may do, 16 bits.</summary>
    public const ushort Command = 0x04;
    /// <summary>What the function has, 16 bits.</summary>
    public const ushort Status = 0x06;
    /// <summary>The revision, 8 bits.</summary>
    public const ushort RevisionId = 0x08;
    /// <summary>Subclass and class, 16 bits.</summary>
    public const ushort ClassCode = 0x0A;
    /// <summary>The layout of the header, 8 bits.</summary>
    public const ushort HeaderType = 0x0E;
    /// <summary>The first of six base address registers, 32 bits each.</summary>
    public const ushort Bar0 = 0x10;
    /// <summary>A bridge: the bus it is on.</summary>
    public const ushort PrimaryBus = 0x18;
    /// <summary>A bridge: the bus behind it.</summary>
    public const ushort SecondaryBus = 0x19;
    /// <summary>A bridge: the last bus behind it.</summary>
    public const ushort SubordinateBus = 0x1A;
    /// <summary>A bridge: bits 20 to 31 of the first address of its memory window, 16 bits.</summary>
    public const ushort MemoryBase = 0x20;
    /// <summary>A bridge: bits 20 to 31 of the last address of its memory window, 16 bits.</summary>
    public const ushort MemoryLimit = 0x22;
    /// <summary>A bridge: base and limit of the window for prefetchable memory, 32 bits.</summary>
    public const ushort PrefetchableBase = 0x24;
    /// <summary>A bridge: set in that base when the window's addresses have 64 bits.</summary>
    public const uint PrefetchableIs64Bit = 1;
    /// <summary>A bridge: the upper half of that base, 32 bits.</summary>
    public const ushort PrefetchableBaseUpper = 0x28;
    /// <summary>A bridge: the upper half of that limit, 32 bits.</summary>
    public const ushort PrefetchableLimitUpper = 0x2C;
    /// <summary>The subsystem's vendor, 16 bits.</summary>
    public const ushort SubsystemVendorId = 0x2C;
    /// <summary>The subsystem, 16 bits.</summary>
    public const ushort SubsystemId = 0x2E;
    /// <summary>The offset of the first capability, 8 bits.</summary>
    public const ushort CapabilitiesPointer = 0x34;
    /// <summary>The interrupt line that firmware wrote, 8 bits.</summary>
    public const ushort InterruptLine = 0x3C;
    /// <summary>The pin: 0 for none, 1 to 4 for A to D.</summary>
    public const ushort InterruptPin = 0x3D;

    /// <summary>Where the first capability may begin.</summary>
    public const ushort FirstCapability = 0x40;
    /// <summary>Where the last capability ends.</summary>
    public const ushort CapabilitiesEnd = 0x100;

    /// <summary>The vendor id of a function that is not there.</summary>
    public const ushort NoVendor = 0xFFFF;

    /// <summary>Command: answer in port space.</summary>
    public const ushort CommandPorts = 1 << 0;
    /// <summary>Command: answer in memory space.</summary>
    public const ushort CommandMemory = 1 << 1;
    /// <summary>Command: reach memory.</summary>
    public const ushort CommandBusMaster = 1 << 2;
    /// <summary>Command: leave the pin alone.</summary>
    public const ushort CommandInterruptDisable = 1 << 10;
    /// <summary>Status: there is a list of capabilities.</summary>
    public const ushort StatusCapabilities = 1 << 4;

    /// <summary>Header type: more functions than 0 may be there.</summary>
    public const byte HeaderMultifunction = 0x80;
    /// <summary>Header type: the layout.</summary>
    public const byte HeaderLayoutMask = 0x7F;
    /// <summary>Header type: a function.</summary>
    public const byte HeaderNormal = 0;
    /// <summary>Header type: a bridge to another bus.</summary>
    public const byte HeaderBridge = 1;

    /// <summary>A BAR in port space.</summary>
    public const uint BarPorts = 1;
    /// <summary>A memory BAR: its type.</summary>
    public const uint BarTypeMask = 6;
    /// <summary>A memory BAR of 64 bits, which takes two registers.</summary>
    public const uint BarType64Bit = 4;
    /// <summary>A memory BAR without side effects of reading.</summary>
    public const uint BarPrefetchable = 8;

    /// <summary>Capability: MSI.</summary>
    public const byte CapabilityMsi = 0x05;
    /// <summary>Capability: vendor specific.</summary>
    public const byte CapabilityVendor = 0x09;
    /// <summary>Capability: MSI-X.</summary>
    public const byte CapabilityMsix = 0x11;

    /// <summary>Message control of MSI: on.</summary>
    public const ushort MsiEnable = 1;

    /// <summary>Message control of MSI: how many messages are in use, as a power of two.</summary>
    public const ushort MsiMultipleEnable = 7 << 4;

    /// <summary>Message control of MSI: addresses have 64 bits.</summary>
    public const ushort Msi64Bit = 1 << 7;

    /// <summary>Message control of MSI: each message has a mask bit.</summary>
    public const ushort MsiMasks = 1 << 8;

    /// <summary>MSI-X message control, at offset 2 of the capability: MSI-X is on.</summary>
    public const ushort MsixEnable = 1 << 15;
    /// <summary>MSI-X message control: every vector is masked.</summary>
    public const ushort MsixMaskAll = 1 << 14;
    /// <summary>MSI-X message control: the number of vectors, less one.</summary>
    public const ushort MsixSizeMask = 0x7FF;
}
