// Where a device keeps its structures: the vendor capabilities of virtio over PCI (virtio 4.1.4).
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>
/// The first usable capability of each type. Reserved types and BARs are passed over; what does not lie within its BAR, or is too
/// short, is not usable. What can be mapped is preferred to what is reached through config space only, which is slower.
/// </summary>
internal struct VirtioPciCapabilities
{
    private const uint MaxDeviceConfiguration = 4096;
    private const uint MaxNotifyLength = 1 << 24;
    private const ushort MsixControl = 2;
    private const ushort MsixTablePlace = 4;
    private const uint MsixEntryLength = 16;

    internal IoWindow Common;
    internal IoWindow Notify;
    internal IoWindow Isr;
    internal IoWindow Device;
    internal uint NotifyMultiplier;
    internal SharedMemoryRegion[] SharedMemory;

    /// <summary>True when 32 bits may be written as a notification: the region and the multiplier are multiples of 4 (4.1.4.4.1).</summary>
    internal bool CanNotifyWithPosition;

    /// <summary>True when the notifications are in a BAR of ports.</summary>
    internal bool NotifiesByPorts;

    /// <summary>True when at least one structure is reached through config space.</summary>
    internal bool UsesConfigAccess;

    /// <summary>True when there was any vendor capability: a device without one has the legacy interface only.</summary>
    internal bool HasAny;

    /// <summary>A multiplier that the specification does not allow, for the reason of a failure; 0 when there was none.</summary>
    internal uint BadMultiplier;

    /// <summary>True when the MSI-X table would be written over registers: the device is not to be trusted with either.</summary>
    internal bool CollidesWithMsix;

    private byte _access; // where the PCI configuration access capability is
    private Place _common;
    private Place _notify;
    private Place _isr;
    private Place _device;

    /// <summary>Walks the list once and maps what is found.</summary>
    internal static VirtioPciCapabilities Find(PciFunction function)
    {
        VirtioPciCapabilities found = default;
        found.SharedMemory = new SharedMemoryRegion[0];
        PciCapabilities walk = new(function);
        byte messages = 0;
        while (walk.MoveNext())
        {
            if (walk.Id == PciRegisters.CapabilityVendor && walk.Fits(VirtioPciRegisters.CapabilityLength))
            {
                found.HasAny = true;
                found.Consider(function, walk);
            }
            else if (walk.Id == PciRegisters.CapabilityMsix)
            {
                messages = walk.Offset;
            }
        }
        if (found._access != 0)
        {
            found.ReachTheRest(function);
        }
        found.CollidesWithMsix = messages != 0 && found.Collides(function, messages);
        return found;
    }

    /// <summary>Whether the structures are there that a device has to have (4.1.4.2); failed with what is wrong with the first that is not.</summary>
    internal readonly ProbeResult Check() =>
        !Common.IsValid ? _common.Explain("the common configuration")
        : !Notify.IsValid && BadMultiplier != 0 ? ProbeResult.Failed("a notify_off_multiplier that is no even power of two", BadMultiplier)
        : !Notify.IsValid ? _notify.Explain("the region for notifications")
        : !Isr.IsValid ? _isr.Explain("the interrupt status")
        : CollidesWithMsix ? ProbeResult.Failed("the MSI-X table lies over the registers", 0)
        : ProbeResult.Bound;

    /// <summary>True when the MSI-X table, by what its capability says, lies over registers (PCI 3.0, 6.8.2).</summary>
    private readonly bool Collides(PciFunction function, byte messages)
    {
        uint place = function.ReadConfig32((ushort)(messages + MsixTablePlace));
        uint vectors = (function.ReadConfig16((ushort)(messages + MsixControl)) & (uint)PciRegisters.MsixSizeMask) + 1;
        byte bar = (byte)(place & 7);
        return _common.Overlaps(bar, place & ~7u, vectors * MsixEntryLength) || _isr.Overlaps(bar, place & ~7u, vectors * MsixEntryLength);
    }

    private void Consider(PciFunction function, in PciCapabilities walk)
    {
        byte length = function.ReadConfig8((ushort)(walk.Offset + VirtioPciRegisters.CapabilityLengthField));
        byte type = function.ReadConfig8((ushort)(walk.Offset + VirtioPciRegisters.CapabilityTypeField));
        if (length < VirtioPciRegisters.CapabilityLength)
        {
            return;
        }
        switch (type)
        {
            case VirtioPciRegisters.CommonConfiguration when !Common.IsValid:
                Common = Map(function, walk.Offset, VirtioPciRegisters.MinCommonLength, VirtioPciRegisters.MaxCommonLength, 4, ref _common);
                break;
            case VirtioPciRegisters.NotifyConfiguration when !Notify.IsValid:
                if (length >= VirtioPciRegisters.NotifyCapabilityLength && walk.Fits(VirtioPciRegisters.NotifyCapabilityLength))
                {
                    ConsiderNotify(function, walk.Offset);
                }
                break;
            case VirtioPciRegisters.IsrConfiguration when !Isr.IsValid:
                Isr = Map(function, walk.Offset, 1, 1, 1, ref _isr);
                break;
            case VirtioPciRegisters.DeviceConfiguration when !Device.IsValid:
                Device = Map(function, walk.Offset, 1, MaxDeviceConfiguration, 4, ref _device);
                break;
            case VirtioPciRegisters.SharedMemoryConfiguration:
                VirtioPciSharedMemory.Consider(function, walk, ref SharedMemory);
                break;
            case VirtioPciRegisters.PciConfiguration when _access == 0:
                if (length >= VirtioPciRegisters.AccessCapabilityLength && walk.Fits(VirtioPciRegisters.AccessCapabilityLength))
                {
                    _access = walk.Offset;
                }
                break;
        }
    }

    private void ConsiderNotify(PciFunction function, byte place)
    {
        uint multiplier = function.ReadConfig32((ushort)(place + VirtioPciRegisters.NotifyMultiplierField));
        if (multiplier == 1 || (multiplier & (multiplier - 1)) != 0)
        {
            BadMultiplier = multiplier;
            return;
        }
        Place found = default;
        Notify = Map(function, place, 2, MaxNotifyLength, 2, ref found);
        if (Notify.IsValid)
        {
            TakeNotify(found, multiplier);
        }
        else if (!_notify.IsFound)
        {
            _notify = found;
            NotifyMultiplier = multiplier;
        }
    }

    private void TakeNotify(in Place place, uint multiplier)
    {
        NotifyMultiplier = multiplier;
        NotifiesByPorts = place.IsPorts;
        CanNotifyWithPosition = (place.Offset | multiplier) % 4 == 0 && place.Length >= 4;
    }

    /// <summary>
    /// Maps the structure that a capability names: at least <paramref name="minimum"/> bytes, no more than <paramref name="maximum"/>. Where
    /// it is goes to <paramref name="found"/> when it is within its BAR, even when that BAR can't be mapped; or else what is wrong with it.
    /// </summary>
    private static IoWindow Map(PciFunction function, byte place, uint minimum, uint maximum, uint alignment, ref Place found)
    {
        byte bar = function.ReadConfig8((ushort)(place + VirtioPciRegisters.CapabilityBarField));
        uint offset = function.ReadConfig32((ushort)(place + VirtioPciRegisters.CapabilityOffsetField));
        uint length = function.ReadConfig32((ushort)(place + VirtioPciRegisters.CapabilitySizeField));
        PciBar description = default;
        bool hasBar = bar <= 5 && function.TryGetBar(bar, out description);
        // A device may claim more than its BAR holds as long as what is needed lies within it.
        ulong inBar = offset < description.Length ? description.Length - offset : 0;
        string wrong = !hasBar ? " lies in a BAR that the device does not have; the capability is at"
            : length < minimum ? " is shorter than it has to be; the capability is at"
            : offset % alignment != 0 ? " is not aligned; the capability is at"
            : inBar < minimum ? " lies outside its BAR; the capability is at"
            : "";
        if (wrong.Length != 0)
        {
            found = found.IsFound ? found : new Place(wrong, place);
            return default;
        }
        Place here = new(bar, offset, (uint)Math.Min(Math.Min(length, maximum), inBar), description, place);
        if (function.TryMapBar(bar, out IoRegion? region) && IoWindow.TryCreate(region, offset, here.Length, out IoWindow window))
        {
            found = here;
            return window;
        }
        if (!found.IsFound)
        {
            found = here;
        }
        return default;
    }

    /// <summary>What could not be mapped is reached through the window in config space.</summary>
    private void ReachTheRest(PciFunction function)
    {
        Common = Reach(function, Common, _common);
        Isr = Reach(function, Isr, _isr);
        Device = Reach(function, Device, _device);
        if (!Notify.IsValid && _notify.IsFound)
        {
            Notify = Reach(function, Notify, _notify);
            TakeNotify(_notify, NotifyMultiplier);
        }
    }

    private IoWindow Reach(PciFunction function, in IoWindow mapped, in Place place)
    {
        // The window's offset has 32 bits; a structure behind them can't be reached.
        if (mapped.IsValid || !place.IsFound || (ulong)place.Offset + place.Length > uint.MaxValue)
        {
            return mapped;
        }
        UsesConfigAccess = true;
        PciConfigAccess region = new(function, _access, place.Bar, place.BarLength);
        return IoWindow.TryCreate(region, place.Offset, place.Length, out IoWindow window) ? window : default;
    }

    /// <summary>Where a structure is that makes sense, or what is wrong with one that does not.</summary>
    private readonly struct Place
    {
        private readonly string? _wrong;
        private readonly byte _capability;

        internal Place(byte bar, uint offset, uint length, in PciBar description, byte capability)
            : this(" lies in a BAR without a usable address; the capability is at", capability)
        {
            Bar = bar;
            Offset = offset;
            Length = length;
            BarLength = description.Length;
            IsPorts = description.IsPorts;
        }

        internal Place(string wrong, byte capability)
        {
            _wrong = wrong;
            _capability = capability;
        }

        internal byte Bar { get; }

        internal uint Offset { get; }

        internal uint Length { get; }

        internal ulong BarLength { get; }

        internal bool IsPorts { get; }

        internal bool IsFound => Length != 0;

        /// <summary>Why this structure can't be used.</summary>
        internal ProbeResult Explain(string structure) =>
            ProbeResult.Failed(_wrong is null ? "there is no usable capability for " + structure : structure + _wrong, _capability);

        internal bool Overlaps(byte bar, ulong start, ulong length) =>
            IsFound && bar == Bar && start < (ulong)Offset + Length && Offset < start + length;
    }
}
