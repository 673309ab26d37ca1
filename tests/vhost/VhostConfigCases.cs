// Lies in features and configuration.
namespace VirtioSharp.Tests.Vhost;

/// <summary>F, G, M: what is offered, what the configuration says, and how it changes (virtio 2.2, 2.5, 5.2.4).</summary>
internal static class VhostConfigCases
{
    private const string Nonsense = "the block size is no power of two from 512 on; 512 is used";
    private const string NoRoom = "seg_max or size_max leaves no room for a single block";
    private const string TooFew = "a queue of fewer than 4 descriptors can't hold a request";
    private const ulong Bytes512 = 512;

    /// <summary>The cases.</summary>
    internal static IEnumerable<VhostCase> All =>
    [
        new("F01", "a device that lacks VERSION_1, of which QEMU shows the legacy interface", Verdict.Works, disk =>
        {
            Offer(disk, disk.Features & ~VhostDisk.Version1);
            disk.Options = ",disable-legacy=off";
        }) { Rings = VhostRings.Split, Machine = "q35", Says = "disk0: virtio-blk, legacy PCI" },
        new("F02", "all 64 features, of which QEMU takes those that it knows", Verdict.Works, disk =>
        {
            Say32(disk, VhostDisk.SizeMaxField, 65536);
            Offer(disk, ulong.MaxValue & ~VhostDisk.ReadOnly);
        }),
        new("F02b", "no feature that is not needed", Verdict.Works, disk => Offer(disk, VhostDisk.ProtocolFeatures | VhostDisk.Version1 | VhostDisk.RingPacked))
        { Requests = 78 },
        new("F10", "a request may have no piece", Verdict.Refused, disk => Say32(disk, VhostDisk.SegMaxField, 0)) { Says = NoRoom },
        new("F10b", "a piece may have no byte", Verdict.Refused, disk => Say32(disk, VhostDisk.SizeMaxField, 0, VhostDisk.SizeMax)) { Says = NoRoom },
        new("F10c", "a piece may have a byte", Verdict.Refused, disk => Say32(disk, VhostDisk.SizeMaxField, 1, VhostDisk.SizeMax)) { Says = NoRoom },
        new("F10d", "a request may have 4 billion pieces", Verdict.Works, disk => Say32(disk, VhostDisk.SegMaxField, uint.MaxValue)),
        new("F10e", "a piece may have 4 billion bytes", Verdict.Works, disk => Say32(disk, VhostDisk.SizeMaxField, uint.MaxValue, VhostDisk.SizeMax)),
        new("F11", "the device does as if EVENT_IDX had been agreed on", Verdict.Works, disk =>
        {
            disk.Options = ",event_idx=off";
            disk.OnStart = queue =>
            {
                queue.Running.HasEventIndex = true;
                disk.Deeds++;
            };
        }),
        new("F12", "a command that is offered may zero nothing", Verdict.Works, disk => Say32(disk, VhostDisk.MaxZeroesField, 0))
        { Requests = 79, Says = "a command is not used" },
        new("F12b", "a command that is offered may have no segment", Verdict.Works, disk => Say32(disk, VhostDisk.MaxZeroesSegmentsField, 0))
        { Requests = 79, Says = "a command is not used" },
        new("F13", "blocks have no byte", Verdict.Works, disk => Say32(disk, VhostDisk.BlockSizeField, 0)) { Says = Nonsense },
        new("F13b", "blocks have 3 bytes", Verdict.Works, disk => Say32(disk, VhostDisk.BlockSizeField, 3)) { Says = Nonsense },
        new("F13c", "blocks have 2 GiB", Verdict.Works, disk => Say32(disk, VhostDisk.BlockSizeField, 1u << 31)) { Says = Nonsense },
        new("F13d", "blocks have 513 bytes", Verdict.Works, disk => Say32(disk, VhostDisk.BlockSizeField, 513)) { Says = Nonsense },
        new("F13e", "blocks have 64 KiB", Verdict.Works, disk => Say32(disk, VhostDisk.BlockSizeField, 65536)),
        new("F13f", "blocks have 1 MiB", Verdict.Empty, disk => Say32(disk, VhostDisk.BlockSizeField, 1 << 20)),
        new("F14", "physical blocks are 2 to the power of 255 blocks", Verdict.Works, disk =>
        {
            disk.Config[VhostDisk.PhysicalExponentField] = 255;
            Say32(disk, VhostDisk.OptIoSizeField, uint.MaxValue);
        }) { Says = "the physical block size makes no sense" },
        new("G05", "there are no sectors", Verdict.Empty, disk => Say(disk, 0)),
        new("G05b", "there is one sector", Verdict.Empty, disk => Say(disk, 1)),
        new("G06", "there are 2 to the power of 64 sectors, less one", Verdict.Refused, disk => Say(disk, ulong.MaxValue))
        { Says = "the capacity in bytes does not fit 64 bits" },
        new("G06b", "there are as many sectors as 64 bits have bytes for", Verdict.Fails, disk => Say(disk, ulong.MaxValue / Bytes512)) { Failed = 1 },
        new("G06c", "there is one sector more than there are", Verdict.Works, disk => Say(disk, VhostDisk.SectorCount + 1)),
        new("G07", "the disk shrinks while requests are in flight", Verdict.Works, disk => disk.Bear(_ => disk.Resize(512)))
        { Says = "the capacity is now, in sectors (0x200)" },
        new("G07b", "the disk grows while requests are in flight", Verdict.Works, disk => disk.Bear(_ => disk.Resize(100_000)))
        { Or = [Verdict.Fails], EndsWell = true, Says = "the capacity is now, in sectors (0x186a0)" },
        new("G07c", "the disk shrinks to nothing", Verdict.GivenUp, disk => disk.Bear(_ => disk.Resize(0)))
        { Says = "the capacity is now, in sectors (0x0)", IsNeverLate = true },
        new("G07d", "the disk grows beyond all bounds", Verdict.Works, disk => disk.Bear(_ => disk.Resize(ulong.MaxValue))),
        new("G08", "the capacity changes with each request", Verdict.Works, disk => disk.OnRequest = request =>
        {
            disk.Deeds++;
            disk.Resize((ulong)(VhostDisk.SectorCount - disk.Deeds % 2));
            return false;
        }),
        new("G08b", "changes of the configuration without a change", Verdict.Works, disk => disk.OnRequest = request =>
        {
            disk.Deeds++;
            disk.Backend.TellOfConfig();
            return false;
        }),
        new("G08c", "the capacity changes for ever, and a request is never answered", Verdict.TimesOut, disk =>
        {
            disk.At(5, _ => { });
            disk.OnStart = queue => ResizeAgain(disk, queue, VhostDisk.SectorCount);
        }) { Timeout = 500 },
        new("M11", "a split queue has 100 descriptors", Verdict.Refused, disk => disk.Options = Sized(disk, 100))
        { Rings = VhostRings.Split, Says = "the device offers a queue size that is no power of two" },
        new("M11b", "the queue has 4 descriptors", Verdict.Works, disk => disk.Options = Sized(disk, 4)),
        new("M11c", "the queue has 2 descriptors", Verdict.Refused, disk => disk.Options = Sized(disk, 2)) { Says = TooFew },
        new("M11d", "the queue has 1 descriptor", Verdict.Refused, disk => disk.Options = Sized(disk, 1)) { Says = TooFew },
        new("M12", "the queue has 1024 descriptors", Verdict.Works, disk => disk.Options = Sized(disk, 1024)),
    ];

    private static void ResizeAgain(VhostDisk disk, VhostQueue queue, int sectors)
    {
        if (queue.Ring is not null)
        {
            disk.Resize((ulong)sectors);
            disk.Backend.After(1, () => ResizeAgain(disk, queue, sectors ^ 1));
        }
    }

    private static void Offer(VhostDisk disk, ulong features)
    {
        disk.Features = features;
        disk.Deeds = 1;
    }

    private static void Say(VhostDisk disk, ulong sectors)
    {
        disk.Set64(VhostDisk.CapacityField, sectors);
        disk.Deeds = 1;
    }

    private static void Say32(VhostDisk disk, int field, uint value, ulong feature = 0)
    {
        disk.Set32(field, value);
        disk.Features |= feature;
        disk.Deeds = 1;
    }

    private static string Sized(VhostDisk disk, int size)
    {
        disk.Deeds = 1;
        return $",queue-size={size}";
    }
}
