// Where a hostile case is played: over which transport, with which ring, and how the device interrupts.
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>The ways to reach a device.</summary>
[Flags]
public enum Machines
{
    /// <summary>Modern PCI with its structures in a BAR.</summary>
    ModernPci = 1,

    /// <summary>Modern PCI whose BARs nobody can map: everything goes through the window in config space.</summary>
    ConfigAccess = 2,

    /// <summary>The interface from before 1.0, in ports.</summary>
    LegacyPci = 4,

    /// <summary>virtio-mmio, version 2.</summary>
    Mmio = 8,

    /// <summary>virtio-mmio, version 1.</summary>
    LegacyMmio = 16,

    /// <summary>A PCI function with the common configuration.</summary>
    ModernFunction = ModernPci | ConfigAccess,

    /// <summary>A PCI function.</summary>
    Pci = ModernFunction | LegacyPci,

    /// <summary>The interfaces of 1.0 and later.</summary>
    Modern = ModernFunction | Mmio,

    /// <summary>Those from before.</summary>
    Legacy = LegacyPci | LegacyMmio,

    /// <summary>Everything.</summary>
    All = Modern | Legacy,
}

/// <summary>The formats of the ring, without and with EVENT_IDX, and with IN_ORDER as well.</summary>
[Flags]
public enum Rings
{
    /// <summary>Split.</summary>
    Split = 1,

    /// <summary>Split with EVENT_IDX.</summary>
    SplitEvent = 2,

    /// <summary>Packed.</summary>
    Packed = 4,

    /// <summary>Packed with EVENT_IDX.</summary>
    PackedEvent = 8,

    /// <summary>Split with EVENT_IDX and IN_ORDER.</summary>
    SplitInOrder = 16,

    /// <summary>Packed with EVENT_IDX and IN_ORDER.</summary>
    PackedInOrder = 32,

    /// <summary>The split format.</summary>
    AnySplit = Split | SplitEvent | SplitInOrder,

    /// <summary>The packed format.</summary>
    AnyPacked = Packed | PackedEvent | PackedInOrder,

    /// <summary>Either without EVENT_IDX.</summary>
    Plain = Split | Packed,

    /// <summary>Either with IN_ORDER.</summary>
    InOrder = SplitInOrder | PackedInOrder,

    /// <summary>Either with EVENT_IDX.</summary>
    Event = SplitEvent | PackedEvent | InOrder,

    /// <summary>Everything.</summary>
    All = AnySplit | AnyPacked,
}

/// <summary>The ways to interrupt.</summary>
[Flags]
public enum Ways
{
    /// <summary>A vector for each queue.</summary>
    MsiX = 1,

    /// <summary>One message for everything.</summary>
    Msi = 2,

    /// <summary>The pin, or the line of a device without a bus.</summary>
    Pin = 4,

    /// <summary>None: the driver looks by itself.</summary>
    None = 8,

    /// <summary>Those that come with an ISR status.</summary>
    WithStatus = Msi | Pin,

    /// <summary>Those that interrupt.</summary>
    Some = MsiX | Msi | Pin,

    /// <summary>Everything.</summary>
    All = Some | None,
}

/// <summary>What a device can reach.</summary>
[Flags]
public enum Memories
{
    /// <summary>What is lent to it, for as long as it is, as behind an IOMMU.</summary>
    Lent = 1,

    /// <summary>Everything that is allocated. Queues keep descriptors then from request to request.</summary>
    Bare = 2,

    /// <summary>Either.</summary>
    All = Lent | Bare,
}

/// <summary>One of each.</summary>
public readonly record struct Place(Machines Machine, Rings Ring, Ways Way, Memories Memory = Memories.Lent)
{
    /// <summary>
    /// All that can be: without a BAR there is no MSI-X table, on no bus there are no messages, a function from before 1.0 has no MSI here,
    /// and before 1.0 there was no packed ring and no IN_ORDER. Without an IOMMU each ring is there once, with the usual way to interrupt, and
    /// so are those with IN_ORDER.
    /// </summary>
    public static IReadOnlyList<Place> All { get; } = [.. Make()];

    /// <summary>
    /// Where stories are played, by name: with each ring, with each way to interrupt, and without an IOMMU. Rings and interrupts do not
    /// meet in them.
    /// </summary>
    public static TheoryData<string> Everywhere => Where(_ => true);

    /// <summary>True for an interface from before 1.0.</summary>
    public bool IsLegacy => Machines.Legacy.HasFlag(Machine);

    /// <summary>True for the best way to interrupt that the transport has.</summary>
    public bool HasUsualWay => Way == (Machine is Machines.ModernPci or Machines.LegacyPci ? Ways.MsiX : Machine == Machines.ConfigAccess ? Ways.Msi : Ways.Pin);

    /// <summary>True with a packed ring.</summary>
    public bool IsPacked => Rings.AnyPacked.HasFlag(Ring);

    /// <summary>True with EVENT_IDX.</summary>
    public bool HasEvent => Rings.Event.HasFlag(Ring);

    /// <summary>True with IN_ORDER.</summary>
    public bool IsInOrder => Rings.InOrder.HasFlag(Ring);

    private bool HasLastRing => Ring == (IsLegacy ? Rings.SplitEvent : Rings.PackedEvent);

    /// <summary>Those of <see cref="Everywhere"/> that have what a story is about.</summary>
    public static TheoryData<string> Where(Func<Place, bool> fits) =>
        [.. All.Where(place => (place.HasUsualWay || place.HasLastRing) && fits(place)).Select(place => place.ToString())];

    /// <summary><see cref="Everywhere"/>, with each of some numbers.</summary>
    public static TheoryData<string, uint> EverywhereWith(params uint[] numbers)
    {
        TheoryData<string, uint> data = [];
        foreach (string place in Everywhere)
        {
            foreach (uint number in numbers)
            {
                data.Add(place, number);
            }
        }
        return data;
    }

    /// <summary>The place with a name.</summary>
    public static Place Named(string name) => All.Single(place => place.ToString() == name);

    /// <inheritdoc/>
    public override string ToString() => $"{Machine} {Ring} {Way} {Memory}";

    private static IEnumerable<Place> Make()
    {
        foreach (Machines machine in new[] { Machines.ModernPci, Machines.ConfigAccess, Machines.LegacyPci, Machines.Mmio, Machines.LegacyMmio })
        {
            Ways ways = machine switch
            {
                Machines.ModernPci => Ways.All,
                Machines.ConfigAccess => Ways.All & ~Ways.MsiX,
                Machines.LegacyPci => Ways.All & ~Ways.Msi,
                _ => Ways.Pin | Ways.None,
            };
            Rings rings = Machines.Legacy.HasFlag(machine) ? Rings.Split | Rings.SplitEvent : Rings.All;
            foreach (Rings ring in Enum.GetValues<Rings>().Where(each => int.IsPow2((int)each) && rings.HasFlag(each)))
            {
                foreach (Ways way in new[] { Ways.MsiX, Ways.Msi, Ways.Pin, Ways.None }.Where(each => ways.HasFlag(each)))
                {
                    Place lent = new(machine, ring, way, Memories.Lent);
                    if (lent.HasUsualWay || !lent.IsInOrder)
                    {
                        yield return lent;
                    }
                    if (lent.HasUsualWay)
                    {
                        yield return lent with { Memory = Memories.Bare };
                    }
                }
            }
        }
    }
}
