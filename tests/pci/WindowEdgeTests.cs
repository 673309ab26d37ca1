// Room, windows and lists once more: what firmware gave out, what is too much, what is just enough.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>Each of these keeps a mutant from surviving.</summary>
public sealed class WindowEdgeTests : IDisposable
{
    private const ulong MiB = 1 << 20;

    private readonly FakeMachine _machine = new();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_firmware_gave_out_of_a_window_is_not_given_out_again_and_its_windows_stay(bool hasRoom)
    {
        _machine.HasRoomForBars = hasRoom;
        FakePciBridge top = _machine.Plug(new FakePciBridge(0, 1, 2), 0, 3);
        FakePciBridge inner = _machine.Plug(new FakePciBridge(1, 2, 2), 1, 0);
        FakePciFunction card = _machine.Plug(new FakePciFunction(0x8086, 0x1234), 1, 1);
        SetWindow(top, 0xE000, 0xE030);
        SetWindow(inner, 0xE000, 0xE000);
        card.Set32(PciRegisters.Bar0, 0xE010_0000);
        card.Allow(PciRegisters.Bar0, 4, 0xFFFF_0000);
        uint before = top.Get32(PciRegisters.MemoryBase);
        uint innerBefore = inner.Get32(PciRegisters.MemoryBase);
        PciScan scan = PciScan.Run(_machine);
        Assert.Equal((before, innerBefore), (top.Get32(PciRegisters.MemoryBase), inner.Get32(PciRegisters.MemoryBase)));
        PciBridge bridge = scan.FindBridge(top.Address)!;
        Assert.Equal((0xE000_0000ul, 4 * MiB), (bridge.Room.Start, bridge.Room.Length));
        for (int i = 0; i < scan.Count; i++)
        {
            if (scan[i].Address.Equals(card.Address))
            {
                Assert.True(scan[i].TryMapBar(0, out _));
            }
        }
        Assert.True(bridge.Room.TryTake(MiB, out ulong address));
        Assert.Equal(0xE020_0000ul, address); // behind the inner bridge's window and the card's BAR
    }

    [Fact]
    public void A_window_is_as_large_as_what_is_behind_it_and_larger_only_for_a_slot()
    {
        _machine.HasRoomForBars = true;
        FakePciBridge empty = new();
        FakePciBridge full = new();
        FakeRootPort port = new();
        _machine.Plug(empty, 0, 2);
        _machine.Plug(full, 0, 3);
        _machine.Plug(port, 0, 4);
        FakePciFunction card = new(0x8086, 0x1234);
        card.AddMemoryBar(0, new FakeMemoryBar(MiB));
        _machine.PlugBehind(full, card, byFirmware: false);
        PciScan scan = PciScan.Run(_machine);
        Assert.Equal(MiB, scan.FindBridge(empty.Address)!.Room.Length);
        Assert.Equal(MiB, scan.FindBridge(full.Address)!.Room.Length);
        Assert.True(scan.FindBridge(port.Address)!.Room.Length > MiB);
    }

    [Fact]
    public void A_device_that_does_not_look_at_the_number_of_a_function_is_found_once_and_named()
    {
        FakePciFunction first = _machine.Plug(new FakePciFunction(0x8086, 0x1234), 0, 3);
        FakePciFunction again = _machine.Plug(new FakePciFunction(0x8086, 0x1234), 0, 3, 1);
        FakePciFunction other = _machine.Plug(new FakePciFunction(0x8086, 0x1235), 0, 3, 2);
        foreach (FakePciFunction function in new[] { first, again, other })
        {
            function.Set8(PciRegisters.HeaderType, PciRegisters.HeaderMultifunction);
            function.Set32(PciRegisters.Bar0, 0xE000_0000);
        }
        using CapturedLog log = new();
        PciScan scan = PciScan.Run(_machine);
        Assert.Equal(2, scan.Count);
        Assert.Equal(["pci: a device answers for functions that it does not have, function 0x1"], log.Entries);
    }

    [Fact]
    public void A_machine_that_assigns_and_has_no_room_for_a_BAR_says_so()
    {
        _machine.HasRoomForBars = true;
        FakePciFunction fake = new(0x8086, 0x1234);
        bool ones = false;
        fake.OnConfigWrite = (offset, _, value) => offset == PciRegisters.Bar0 && ((ones = value == uint.MaxValue) || true);
        fake.OnConfigRead = (offset, _, value) => offset != PciRegisters.Bar0 ? value : ones ? 0x8000_0000 : 0; // 2 GiB
        _machine.Plug(fake, 0, 3);
        using CapturedLog log = new();
        Assert.False(new ScannedPciFunction(_machine, fake.Address).TryMapBar(0, out _));
        Assert.Equal(["pci: there is no room for a BAR, in bytes 0x80000000"], log.Entries);
    }

    [Fact]
    public void A_BAR_of_a_sort_that_does_not_exist_is_none_and_the_next_one_is_found()
    {
        FakePciFunction fake = new(0x8086, 0x1234);
        fake.Set32(PciRegisters.Bar0, 0xE000_0002);
        fake.Allow(PciRegisters.Bar0, 4, 0xFFFF_0000);
        fake.Set32(PciRegisters.Bar0 + 4, 0xE010_0000);
        fake.Allow(PciRegisters.Bar0 + 4, 4, 0xFFFF_0000);
        _machine.Plug(fake, 0, 3);
        ScannedPciFunction function = new(_machine, fake.Address);
        Assert.False(function.TryGetBar(0, out _));
        Assert.True(function.TryGetBar(1, out PciBar bar));
        Assert.Equal(0xE010_0000ul, bar.Address);
    }

    [Fact]
    public void Ports_that_are_no_multiple_of_16_are_as_before_as_well()
    {
        FakePciFunction fake = new(0x8086, 0x1234);
        fake.AddPortBar(0, new FakeMemoryBar(8));
        fake.AddPortBar(1, new FakeMemoryBar(8));
        _machine.Plug(fake, 0, 3);
        ScannedPciFunction function = new(_machine, fake.Address);
        function.Identify();
        Assert.True(function.TryEnable());
        Assert.True(function.TryGetBar(1, out PciBar bar) && bar.Address % 16 == 8);
        Assert.True(function.IsAsBefore());
        fake.Set32(PciRegisters.Bar0 + 4, fake.Get32(PciRegisters.Bar0 + 4) ^ 4);
        Assert.False(function.IsAsBefore());
    }

    [Fact]
    public void A_list_that_reads_as_all_ones_has_ended()
    {
        FakePciFunction fake = new(0x8086, 0x1234);
        fake.Set16(PciRegisters.Status, PciRegisters.StatusCapabilities);
        fake.Set8(PciRegisters.CapabilitiesPointer, 0x40);
        fake.Set16(0x40, 0xFFFF);
        _machine.Plug(fake, 0, 3);
        PciCapabilities walk = new(new ScannedPciFunction(_machine, fake.Address));
        Assert.False(walk.MoveNext());
        Assert.Equal((0, 0), (walk.Offset, walk.Id));
    }

    [Fact]
    public void A_registry_that_is_just_full_can_lose_its_first_device()
    {
        DeviceTable table = new();
        DriverRegistry registry = new(table);
        for (byte bus = 0; bus < 8; bus++)
        {
            TestDevice device = new();
            table.Add(device);
            registry.Note(new PciAddress(0, bus, 0, 0), device);
        }
        Assert.Equal(1, registry.Detach(0, 0, 0));
        Assert.Equal(7, registry.Detach(0, 1, 7));
        Assert.Equal(0, table.Count);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Only_a_capability_with_masks_has_its_masks_written(bool is64Bit, bool hasMasks)
    {
        FakePciFunction fake = new(0x8086, 0x1234);
        FakeMsi msi = new(fake, is64Bit, hasMasks);
        List<int> written = [];
        fake.OnConfigWrite = (offset, _, _) =>
        {
            written.Add(offset - msi.Capability);
            return false;
        };
        _machine.Plug(fake, 0, 3);
        _machine.MessageAddress = is64Bit ? 0xFEE0_0000ul : 0xFFFF_FFFF; // the largest that 32 bits hold
        Assert.True(MsiCapability.TryFind(new ScannedPciFunction(_machine, fake.Address), _machine, out MsiCapability? capability));
        Assert.True(capability!.TryAttach(new NotedInterrupt()));
        capability.Release();
        int[] expected = is64Bit ? hasMasks ? [4, 8, 12, 16, 2, 2] : [4, 8, 12, 2, 2] : [4, 8, 2, 2];
        Assert.Equal(expected, written);
    }

    /// <inheritdoc/>
    public void Dispose() => _machine.Dispose();

    private static void SetWindow(FakePciBridge bridge, ushort first, ushort last)
    {
        bridge.Set16(PciRegisters.MemoryBase, first);
        bridge.Set16(PciRegisters.MemoryLimit, last);
    }

    private sealed class TestDevice : Device
    {
        public override void Poll()
        {
        }

        public override void Remove()
        {
        }
    }
}
