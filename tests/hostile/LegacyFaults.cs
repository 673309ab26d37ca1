// Faults behind the legacy PCI interface: its own registers, and those of the other lists that make sense there.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Pci;

namespace VirtioSharp.Tests.Hostile;

/// <summary>M: registers. F: features. G: configuration. B: BAR 0. L: capabilities that are no use. U: lengths.</summary>
public static class LegacyFaults
{
    private const uint QueuePageNumber = 8;
    private const uint QueueSize = 12;
    private const uint QueueSelect = 14;
    private const uint ConfigVector = 20;
    private const uint QueueVector = 22;
    private const int LegacyBar = PciRegisters.Bar0;

    // Either not of this interface (other registers, FEATURES_OK), or with another outcome: lengths are not asked.
    private static readonly string[] NotHere = ["I01b", "I03", "I06", "I07", "I08", "I09", "I11", "U13", "U14", "U25", "R11"];

    private static readonly string[] AlsoHere =
    [
        "M01", "M02", "M03", "M05", "M07", "F04b", "F10a", "F10b", "F10c", "F10d", "F11", "F13a", "F13b", "F13c", "G05", "G06", "G08", "R08",
    ];

    /// <summary>The cases of the other lists that are played behind the legacy interface too.</summary>
    public static IEnumerable<FaultCase> Shared =>
        RingFaults.All.Where(fault => fault.Ring != FaultRing.Packed && !NotHere.Contains(fault.Id))
            .Concat(RegisterFaults.All.Where(fault => AlsoHere.Contains(fault.Id)));

    /// <summary>The cases of this interface alone.</summary>
    public static IEnumerable<FaultCase> All =>
    [
        new("M10b", "a legacy queue has no descriptors", Outcome.Refused, scene => Show(scene, QueueSize, 0)),
        new("M11b", "the size of a legacy queue is no power of two", Outcome.Refused, scene => Show(scene, QueueSize, 100)),
        new("M12e", "the size of a legacy queue is 65535", Outcome.Refused, scene => Show(scene, QueueSize, 0xFFFF)),
        new("M13b", "a legacy queue is smaller at the second look", Outcome.Refused, scene =>
        {
            int looks = 0;
            scene.LegacyFunction.OnRead = (offset, value) => offset == QueueSize && looks++ > 0 ? value / 2 : value;
        }),
        new("M15c", "a legacy queue does not take its page", Outcome.Refused, scene =>
            scene.LegacyFunction.OnWrite = (offset, _) => offset == QueuePageNumber),
        new("M18b", "no vector of a legacy device can be mapped: its configuration moves back", Outcome.Works, scene =>
            scene.LegacyFunction.OnRead = (offset, value) => offset is ConfigVector or QueueVector ? 0xFFFFu : value)
        { NeedsMsix = true, Requirements = "PCI-LEGACY-7" },
        new("M19b", "queue_select of a legacy device does not stick", Outcome.Works, scene =>
            scene.LegacyFunction.OnWrite = (offset, _) => offset == QueueSelect),
        new("M21a", "a legacy queue has a page after the reset", Outcome.Refused, scene => Show(scene, QueuePageNumber, 0x1234)),
        new("M21b", "the ring lies above what a page number can say", Outcome.Refused, scene => scene.Machine.FakeDma.Skip(1ul << 44))
        { Requirements = "PCI-LEGACY-17" },
        new("M21c", "the ring lies below what a page number can just say", Outcome.Works, scene =>
            scene.Machine.FakeDma.Skip((1ul << 44) - (8ul << 20))),
        new("F02b", "every legacy feature is offered, but for those that change the device", Outcome.Works, scene =>
            scene.Disk.OfferedFeatures = uint.MaxValue & ~(FakeBlockDevice.ReadOnly | FakeBlockDevice.SegMax | FakeBlockDevice.SizeMax))
        { Requirements = "CORE-LEGACY-6 CORE-LEGACY-7" },
        new("F03b", "a legacy device offers no feature", Outcome.Works, scene => scene.Disk.OfferedFeatures = 0),
        new("G01b", "a legacy capacity changes with every look", Outcome.Refused, scene =>
        {
            uint looks = 0;
            scene.Disk.OnReadConfig = (offset, _, value) => offset < 8 ? looks++ : value;
        }) { Requirements = "CORE-LEGACY-4" },
        new("G03", "a legacy capacity is torn once, and nothing says so", Outcome.Works, scene =>
        {
            bool torn = false;
            scene.Disk.OnReadConfig = (offset, _, value) =>
            {
                bool first = offset == 4 && !torn;
                torn |= first;
                return first ? 0xDEAD_BEEF : value;
            };
        }) { Requirements = "CORE-LEGACY-4 PCI-LEGACY-10" },
        new("B01b", "BAR 0 with the legacy registers has no size", Outcome.Refused, scene =>
        {
            scene.LegacyFunction.Allow(LegacyBar, 4, 0);
            scene.LegacyFunction.AssignBar(0, 0);
        }),
        new("B02d", "a transitional device has modern structures where the legacy registers would be", Outcome.Refused, scene =>
        {
            // BAR 0 is memory, and the capabilities that point into it are no use: whatever is there, it is not the legacy registers.
            scene.LegacyFunction.AddMemoryBar(0, new FakePartedBar(4096, () => scene.Machine.Violations));
            scene.LegacyFunction.AssignBar(0, 0xE800_0000);
            scene.LegacyFunction.Set16(PciRegisters.Command, PciRegisters.CommandMemory);
            AddCapability(scene.LegacyFunction, 0x77, 0);
        }) { Requirements = "PCI-LEGACY-2" },
        new("B04c", "BAR 0 with the legacy registers was not assigned", Outcome.Refused, scene => scene.LegacyFunction.AssignBar(0, 0)),
        new("B18b", "port decoding goes off after sizing", Outcome.Refused, scene => scene.LegacyFunction.OnConfigRead = (offset, _, value) =>
            offset == PciRegisters.Command ? value & ~(uint)PciRegisters.CommandPorts : value),
        new("B02e", "the machine has no ports", Outcome.Refused, scene => scene.Machine.HasPorts = false),
        new("L12b", "a transitional device's modern structures are in a BAR that is absent", Outcome.Works, scene =>
        {
            for (byte type = 1; type <= 5; type++)
            {
                AddCapability(scene.LegacyFunction, type, 4);
            }
        }) { Requirements = "PCI-LEGACY-12" },
        new("U13b", "a legacy device says that it wrote nothing", Outcome.Works, scene => scene.Queue.OnUsed = (id, _) => (id, 0))
        { Requirements = "BLK-LEGACY-4 SPLIT-LEGACY-6" },
        new("U15", "a legacy device says that it wrote into what it can only read", Outcome.Works, scene =>
            scene.Queue.OnUsed = (id, length) => (id, length + 1024)) { Requirements = "BLK-LEGACY-4 SPLIT-LEGACY-6" },
    ];

    private static void Show(FaultScene scene, uint register, uint value) =>
        scene.LegacyFunction.OnRead = (offset, right) => offset == register ? value : right;

    private static void AddCapability(FakePciFunction function, byte type, byte bar)
    {
        byte[] body = new byte[18];
        body[0] = 20;
        body[1] = type;
        body[2] = bar;
        BitConverter.TryWriteBytes(body.AsSpan(10), 0x1000);
        BitConverter.TryWriteBytes(body.AsSpan(14), 4);
        function.AddCapability(PciRegisters.CapabilityVendor, body);
    }
}
