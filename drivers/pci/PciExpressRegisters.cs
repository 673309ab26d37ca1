// The PCI Express capability of a port with a slot (PCI Express base specification 7.5.3).
namespace VirtioSharp.Drivers.Pci;

/// <summary>Offsets into the capability, and bits.</summary>
internal static class PciExpressRegisters
{
    internal const byte Capability = 0x10;
    internal const int CapabilityLength = 0x1C;

    internal const int Flags = 0x02;
    internal const ushort TypeMask = 0xF0;
    internal const ushort RootPort = 0x40;
    internal const ushort DownstreamPort = 0x60;
    internal const ushort SlotImplemented = 1 << 8;

    internal const int SlotCapabilities = 0x14;
    internal const uint HasPowerController = 1 << 1;
    internal const uint HotplugCapable = 1 << 6;
    internal const uint NoCommandCompleted = 1 << 18;

    internal const int SlotControl = 0x18;
    internal const ushort AttentionButtonEnable = 1 << 0;
    internal const ushort PresenceChangedEnable = 1 << 3;
    internal const ushort HotplugInterruptEnable = 1 << 5;
    internal const ushort PowerIndicatorMask = 3 << 8;
    internal const ushort PowerIndicatorOn = 1 << 8;
    internal const ushort PowerIndicatorBlink = 2 << 8;
    internal const ushort PowerIndicatorOff = 3 << 8;
    internal const ushort PowerOff = 1 << 10;

    internal const int SlotStatus = 0x1A;
    internal const ushort AttentionButtonPressed = 1 << 0;
    internal const ushort PresenceChanged = 1 << 3;
    internal const ushort CommandCompleted = 1 << 4;
    internal const ushort CardPresent = 1 << 6;
    internal const ushort LinkChanged = 1 << 8;
}
