// virtio-mmio: what is looked at before a device is driven, interrupts, and devices that are not what they say.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Transport;

/// <summary>Both versions, on the fake machine.</summary>
public sealed class MmioTransportTests : MachineScene
{
    private const uint MagicValue = 0x000;
    private const uint Version = 0x004;
    private const uint DeviceId = 0x008;
    private const uint QueueSizeMax = 0x034;
    private const uint QueuePfn = 0x040;
    private const uint QueueReady = 0x044;
    private const uint InterruptStatus = 0x060;

    private readonly FakeBlockDevice _disk = new(256);

    [Theory]
    [InlineData(MagicValue, 0x74726977u, "magic")]
    [InlineData(MagicValue, uint.MaxValue, "magic")]
    [InlineData(Version, 0u, "version")]
    [InlineData(Version, 3u, "version")]
    [InlineData(Version, uint.MaxValue, "version")]
    [Trait("Requirement", "MMIO-REG-6")]
    [Trait("Requirement", "MMIO-REG-7")]
    [Trait("Requirement", "MMIO-REG-8")]
    [Trait("Requirement", "MMIO-REG-9")]
    [Trait("Requirement", "MMIO-INIT-1")]
    public void What_is_no_virtio_device_is_refused_and_not_written_to(uint register, uint value, string reason)
    {
        FakeMmioDevice slot = Plug(2);
        slot.OnRead = (offset, right) => offset == register ? value : right;
        ProbeResult result = Probe(slot, out Device? device);
        Assert.Equal(ProbeStatus.Failed, result.Status);
        Assert.Contains(reason, result.Reason);
        Assert.Null(device);
        Assert.All(slot.Accesses, access => Assert.InRange(access, 0u, Version));
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    [Trait("Requirement", "MMIO-REG-10")]
    [Trait("Requirement", "MMIO-REG-11")]
    [Trait("Requirement", "MMIO-INIT-2")]
    [Trait("Requirement", "MMIO-INIT-3")]
    [Trait("Requirement", "MMIO-INIT-4")]
    public void An_empty_slot_is_nobodys_and_is_touched_no_further(uint version)
    {
        FakeMmioDevice slot = Plug(version);
        slot.OnRead = (offset, right) => offset == DeviceId ? 0 : right;
        Assert.Equal(ProbeStatus.NotMine, Probe(slot, out _).Status);
        Assert.Equal([MagicValue, Version, DeviceId], slot.Accesses);
    }

    [Theory]
    [InlineData(1u, "legacy virtio-mmio", true)]
    [InlineData(2u, "virtio-mmio", false)]
    public void The_version_decides_the_transport(uint version, string name, bool isLegacy)
    {
        VirtioBlk disk = FakeBinding.AttachMmio<VirtioBlk>(Machine, _disk, version);
        Assert.Equal((name, isLegacy), (disk.Virtio.Transport.Name, disk.Virtio.Transport.IsLegacy));
        Assert.Equal(InterruptKind.Pin, disk.Virtio.InterruptKind);
        Assert.Equal(isLegacy, (disk.Virtio.Features & VirtioFeature.Version1) == 0);
        disk.Remove();
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    [Trait("Requirement", "MMIO-REG-18")]
    public void Undefined_bits_of_the_interrupt_status_are_disregarded_and_never_acknowledged(uint version)
    {
        FakeMmioDevice slot = Plug(version);
        slot.OnRead = (offset, right) => offset == InterruptStatus ? right | 0xFFFF_FF00 : right;
        ReadOneSector(slot);
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    public void Without_an_interrupt_line_the_device_is_polled(uint version)
    {
        FakeMmioDevice slot = Plug(version);
        slot.HasInterrupt = false;
        ReadOneSector(slot);
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    public void An_interrupt_of_a_line_that_is_up_for_nothing_is_nobodys(uint version)
    {
        FakeMmioDevice slot = Plug(version);
        Assert.True(Probe(slot, out Device? device).IsBound);
        Assert.False(slot.Handler!.OnInterrupt());
        slot.Raise(1);
        slot.Raise(2);
        device!.Remove();
        Assert.Null(slot.Handler);
    }

    [Theory]
    [InlineData(2u, QueueReady, 0u)] // never becomes ready
    [InlineData(2u, QueueReady, 1u)] // is ready from the beginning
    [InlineData(2u, QueueSizeMax, 0u)]
    [InlineData(2u, QueueSizeMax, 100u)]
    [InlineData(2u, QueueSizeMax, 0x10000u)]
    [InlineData(2u, QueueSizeMax, uint.MaxValue)]
    [InlineData(1u, QueuePfn, 0u)]
    [InlineData(1u, QueuePfn, 1u)]
    [InlineData(1u, QueueSizeMax, 0u)]
    [InlineData(1u, QueueSizeMax, 3u)]
    public void A_queue_that_is_not_as_it_must_be_fails_the_probe(uint version, uint register, uint value)
    {
        FakeMmioDevice slot = Plug(version);
        slot.OnRead = (offset, right) => offset == register ? value : right;
        Assert.Equal(ProbeStatus.Failed, Probe(slot, out _).Status);
        Assert.Equal(0, _disk.Status);
    }

    [Fact]
    public void A_legacy_device_whose_capacity_never_holds_still_is_refused_after_so_many_looks()
    {
        FakeMmioDevice slot = Plug(1);
        uint reads = 0;
        _disk.OnReadConfig = (offset, _, _) => offset < 8 ? ++reads : 0;
        ProbeResult result = Probe(slot, out _);
        Assert.Equal(ProbeStatus.Failed, result.Status);
        Assert.Contains("holds still", result.Reason);
        Assert.InRange(reads, 4u, 100u);
    }

    [Fact]
    public void A_legacy_capacity_that_changes_between_its_halves_is_read_again()
    {
        FakeMmioDevice slot = Plug(1);
        int reads = 0;
        // The upper half is of another time than the lower one, once.
        _disk.OnReadConfig = (offset, _, right) => offset == 4 && ++reads == 1 ? 7 : right;
        Assert.True(Probe(slot, out Device? device).IsBound);
        Assert.Equal(256ul, ((BlockDevice)device!).SectorCount);
        device.Remove();
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    public void A_device_that_asks_for_a_reset_is_begun_anew(uint version)
    {
        VirtioBlk disk = FakeBinding.AttachMmio<VirtioBlk>(Machine, _disk, version);
        for (ulong i = 1; i <= 3; i++)
        {
            _disk.AskForReset();
            disk.Poll();
            Assert.Equal(i, disk.Recoveries);
            ReadOneSector(disk);
        }
        disk.Remove();
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    public void Registers_that_are_too_few_are_refused(uint version)
    {
        FakeMmioDevice slot = Plug(version);
        ShortSlot shortened = new(slot, 0x100);
        Assert.Equal(ProbeStatus.Failed, Probe(shortened, out _).Status);
        shortened = new ShortSlot(slot, 0x104);
        ProbeResult result = Probe(shortened, out _);
        Assert.Equal(ProbeStatus.Failed, result.Status);
        Assert.Contains("capacity", result.Reason);
    }

    private static ProbeResult Probe(PlatformDevice slot, out Device? device)
    {
        VirtioDriverTable drivers = new();
        drivers.Add(new VirtioBlkDriver());
        return new VirtioMmioDriver(drivers).Probe(slot, out device);
    }

    private FakeMmioDevice Plug(uint version) => Machine.Plug(new FakeMmioDevice(Machine, _disk, version));

    private void ReadOneSector(FakeMmioDevice slot)
    {
        Assert.True(Probe(slot, out Device? device).IsBound);
        ReadOneSector((BlockDevice)device!);
        device!.Remove();
    }

    private void ReadOneSector(BlockDevice disk) => Waiting.ReadFirstSector(disk, Machine.Clock);

    /// <summary>The same device with fewer registers.</summary>
    private sealed class ShortSlot(FakeMmioDevice slot, ulong length) : PlatformDevice
    {
        public override ulong Address => slot.Address;

        public override IoRegion Registers { get; } = new ShortRegion(slot.Registers, length);

        public override DmaSpace Dma => slot.Dma;

        public override Clock Clock => slot.Clock;

        public override bool TryAttachInterrupt(InterruptHandler handler) => slot.TryAttachInterrupt(handler);

        public override void DetachInterrupt(InterruptHandler handler) => slot.DetachInterrupt(handler);
    }

    private sealed class ShortRegion(IoRegion region, ulong length) : IoRegion
    {
        public override ulong Length => length;

        public override byte Read8(ulong offset) => region.Read8(offset);

        public override ushort Read16(ulong offset) => region.Read16(offset);

        public override uint Read32(ulong offset) => region.Read32(offset);

        public override void Write8(ulong offset, byte value) => region.Write8(offset, value);

        public override void Write16(ulong offset, ushort value) => region.Write16(offset, value);

        public override void Write32(ulong offset, uint value) => region.Write32(offset, value);
    }
}
