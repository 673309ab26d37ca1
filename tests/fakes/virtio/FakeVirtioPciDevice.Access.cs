// The window in config space of a fake virtio function, with the rules of virtio 4.1.4.9.
using VirtioSharp.Tests.Fakes.Pci;

namespace VirtioSharp.Tests.Fakes.Virtio;

/// <summary>The window works whatever the command register says: it needs no BAR to be decoded.</summary>
public sealed partial class FakeVirtioPciDevice
{
    /// <summary>The BAR with doorbells in port space.</summary>
    public const byte PortBar = 2;

    private const int BarField = 4;
    private const int OffsetField = 8;
    private const int LengthField = 12;
    private const int DataField = 16;

    private readonly List<ushort> _structures = []; // every virtio capability but the window's own

    /// <summary>How many accesses went through the window.</summary>
    public int WindowAccesses { get; private set; }

    /// <summary>A fault: the window can't be aimed and shows zeroes.</summary>
    public bool IsWindowDead { get; set; }

    /// <summary>How often a port was rung as a doorbell.</summary>
    public int PortNotifications { get; private set; }

    /// <summary>
    /// Puts doorbells in a port BAR as well, one port for all queues, as QEMU's <c>modern-pio-notify=on</c> does: preferred to those in
    /// memory, or second choice. Says where the capability is.
    /// </summary>
    public ushort AddPortDoorbells(bool isFirst)
    {
        FakePartedBar bar = new(4, () => Machine.Violations);
        bar.Add(new FakeBarPart(0, 4, RefuseRead, (offset, width, value) =>
        {
            PortNotifications++;
            Notify(offset, width, value, 0);
        }));
        AddPortBar(PortBar, bar);
        return AddVirtioCapability(2, PortBar, 0, 4, new byte[4], isFirst);
    }

    /// <inheritdoc/>
    protected override bool TryReadConfig(ushort offset, int width, out uint value)
    {
        value = 0;
        if (!IsWindow(offset, width))
        {
            return false;
        }
        value = IsWindowDead ? 0 : Aim(offset, width, out uint place).Read(place, width);
        return true;
    }

    /// <inheritdoc/>
    protected override bool TryWriteConfig(ushort offset, int width, uint value)
    {
        foreach (ushort structure in _structures)
        {
            Machine.Violations.Require(
                offset + width <= structure || offset >= structure + Get8(structure + 2),
                $"a virtio capability was written at 0x{offset:X} (4.1.4.2)");
        }
        if (IsWindow(offset, width))
        {
            if (!IsWindowDead)
            {
                Aim(offset, width, out uint place).Write(place, width, value);
            }
            return true;
        }
        if (offset == AccessCapability + OffsetField)
        {
            uint length = Get32(AccessCapability + LengthField);
            Machine.Violations.Require(length is 1 or 2 or 4, $"an offset was written while the window's length is {length} (4.1.4.9.2)");
            Machine.Violations.Require(value % length == 0, $"the window's offset is 0x{value:X}, which its length {length} does not divide (4.1.4.9.2)");
        }
        return false;
    }

    private ushort AddAccess()
    {
        ushort capability = AddVirtioCapability(5, 0, 0, 0, new byte[4]);
        _structures.Remove(capability);
        Allow(capability + BarField, 1, 0xFF);
        Allow(capability + OffsetField, 4, uint.MaxValue);
        Allow(capability + LengthField, 4, uint.MaxValue);
        return capability;
    }

    private bool IsWindow(ushort offset, int width) =>
        AccessCapability != 0 && offset < AccessCapability + DataField + 4 && offset + width > AccessCapability + DataField;

    private FakeBar Aim(ushort offset, int width, out uint place)
    {
        WindowAccesses++;
        byte bar = Get8(AccessCapability + BarField);
        uint start = Get32(AccessCapability + OffsetField);
        uint length = Get32(AccessCapability + LengthField);
        Machine.Violations.Require(
            offset == AccessCapability + DataField && width == length,
            $"the window of {length} bytes was accessed with {width} bytes at 0x{offset - AccessCapability - DataField:X} (4.1.4.9)");
        Machine.Violations.Require(start % length == 0, $"the window is at 0x{start:X}, which its length {length} does not divide (4.1.4.9.2)");
        Machine.Violations.Require(
            _structures.Exists(each => Covers(each, bar, start, length)),
            $"the window shows {length} bytes at 0x{start:X} of BAR {bar}, where no structure is (4.1.4.9.2)");
        place = start;
        return BarAt(bar)!;
    }

    private bool Covers(ushort structure, byte bar, uint start, uint length)
    {
        uint first = Get32(structure + OffsetField);
        return Get8(structure + BarField) == bar && start >= first && (ulong)start + length <= (ulong)first + Get32(structure + LengthField);
    }
}
