// Where a device keeps its structures: the vendor capabilities of virtio over PCI (virtio 4.1.4).
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>
/// The first usable capability of each type, mapped. Reserved types and BARs are passed over; what does not lie within its BAR, or is
/// too short, is not usable.
/// </summary>
internal struct VirtioPciCapabilities
{
    private const uint MaxDeviceConfiguration = 4096;
    private const uint MaxNotifyLength = 1 << 24;

    internal IoWindow Common;
    internal IoWindow Notify;
    internal IoWindow Isr;
    internal IoWindow Device;
    internal uint NotifyMultiplier;

    /// <summary>True when there was any vendor capability: a device without one has the legacy interface only.</summary>
    internal bool HasAny;

    /// <summary>True when a PCI configuration access capability was seen (4.1.4.9).</summary>
    internal bool HasPciAccess;

    /// <summary>Walks the list once and maps what is found.</summary>
    internal static VirtioPciCapabilities Find(PciFunction function)
    {
        VirtioPciCapabilities found = default;
        PciCapabilities walk = new(function);
        while (walk.MoveNext())
        {
            if (walk.Id == PciRegisters.CapabilityVendor && walk.Fits(VirtioPciRegisters.CapabilityLength))
            {
                found.HasAny = true;
                found.Consider(function, walk);
            }
        }
        return found;
    }

    private void Consider(PciFunction function, in PciCapabilities walk)
    {
        byte place = walk.Offset;
        byte length = function.ReadConfig8((ushort)(place + VirtioPciRegisters.CapabilityLengthField));
        byte type = function.ReadConfig8((ushort)(place + VirtioPciRegisters.CapabilityTypeField));
        if (length < VirtioPciRegisters.CapabilityLength)
        {
            return;
        }
        switch (type)
        {
            case VirtioPciRegisters.CommonConfiguration when !Common.IsValid:
                TryMap(function, place, VirtioPciRegisters.CommonLength, VirtioPciRegisters.CommonLength, 4, out Common);
                break;
            case VirtioPciRegisters.NotifyConfiguration when !Notify.IsValid:
                if (length >= VirtioPciRegisters.NotifyCapabilityLength && walk.Fits(VirtioPciRegisters.NotifyCapabilityLength) &&
                    TryMap(function, place, 2, MaxNotifyLength, 2, out Notify))
                {
                    NotifyMultiplier = function.ReadConfig32((ushort)(place + VirtioPciRegisters.NotifyMultiplierField));
                }
                break;
            case VirtioPciRegisters.IsrConfiguration when !Isr.IsValid:
                TryMap(function, place, 1, 1, 1, out Isr);
                break;
            case VirtioPciRegisters.DeviceConfiguration when !Device.IsValid:
                TryMap(function, place, 1, MaxDeviceConfiguration, 4, out Device);
                break;
            case VirtioPciRegisters.PciConfiguration:
                HasPciAccess = true;
                break;
        }
    }

    /// <summary>Maps the structure that a capability names: at least <paramref name="minimum"/> bytes, no more than <paramref name="maximum"/>.</summary>
    private static bool TryMap(PciFunction function, byte place, uint minimum, uint maximum, uint alignment, out IoWindow window)
    {
        window = default;
        byte bar = function.ReadConfig8((ushort)(place + VirtioPciRegisters.CapabilityBarField));
        uint offset = function.ReadConfig32((ushort)(place + VirtioPciRegisters.CapabilityOffsetField));
        uint length = function.ReadConfig32((ushort)(place + VirtioPciRegisters.CapabilityOffsetField + 4));
        if (bar > 5 || length < minimum || offset % alignment != 0 || !function.TryGetBar(bar, out PciBar description) || offset >= description.Length)
        {
            return false;
        }
        // A device may claim more than its BAR holds as long as what is needed lies within it.
        ulong usable = Math.Min(Math.Min(length, maximum), description.Length - offset);
        return usable >= minimum && function.TryMapBar(bar, out IoRegion? region) && IoWindow.TryCreate(region, offset, usable, out window);
    }
}
