// Cards that go, come and come back as others, in a hot-plug slot.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using VirtioSharp.Tests.Pci;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>C16, R02 and R03, with cards of either ring, in slots with messages and with a pin.</summary>
public sealed class HostileCardTests
{
    private const ulong Second = 1_000_000_000;

    /// <summary>Whether the card offers a packed ring, and the port a message: cards that need ports are for no slot that the driver gives addresses to.</summary>
    public static TheoryData<bool, bool> Cards => new() { { false, true }, { false, false }, { true, true }, { true, false } };

    [Theory]
    [MemberData(nameof(Cards))]
    public void C16_a_card_that_is_looked_at_again_is_not_there_twice(bool isPacked, bool hasMsi)
    {
        using HotplugScene scene = new(hasMsi);
        PciHotplugSlot slot = scene.Watch();
        scene.Port.Insert(Card(new FakeBlockDevice(16), isPacked));
        scene.RunUntil(() => scene.Devices.Count == 2);
        int functions = scene.Functions.Count;
        VirtioBlk disk = scene.TheDisk;
        for (int i = 0; i < 10; i++)
        {
            scene.Port.Flicker();
            scene.Pass(Second);
        }
        Assert.Equal((functions, 1, 0), (scene.Functions.Count, slot.Arrivals, slot.Departures));
        Assert.Same(disk, scene.TheDisk);
        scene.Read(disk);
    }

    [Theory]
    [MemberData(nameof(Cards))]
    public void R02_a_card_that_is_asked_for_under_load_leaves_and_every_request_ends_once(bool isPacked, bool hasMsi)
    {
        using HotplugScene scene = new(hasMsi);
        PciHotplugSlot slot = scene.Watch();
        FakeBlockDevice device = new(64) { HoldsBack = true };
        scene.Port.Insert(Card(device, isPacked));
        scene.RunUntil(() => scene.Devices.Count == 2);
        TestRequest[] requests = [.. Enumerable.Range(0, 16).Select(i => scene.Submit(scene.TheDisk, (ulong)i))];
        scene.TheDisk.Kick();
        scene.Machine.Run();
        Assert.Equal(16, device.HeldBack.Count);
        scene.Port.AskFor();
        scene.RunUntil(() => slot.Departures == 1);
        Assert.All(requests, request => Assert.Equal((IoStatus.Removed, 1), (request.Status, request.Completions)));
        scene.RunUntil(() => scene.Port.Card is null);
        scene.Port.Insert(Card(new FakeBlockDevice(16), isPacked));
        scene.RunUntil(() => scene.Devices.Count == 2);
        scene.Read(scene.TheDisk);
    }

    [Theory]
    [MemberData(nameof(Cards))]
    public void R03_a_card_that_comes_back_with_another_size_and_other_features_is_taken_as_it_is(bool isPacked, bool hasMsi)
    {
        using HotplugScene scene = new(hasMsi);
        PciHotplugSlot slot = scene.Watch();
        scene.Port.Insert(HotplugScene.Disk(16));
        scene.RunUntil(() => scene.Devices.Count == 2);
        VirtioBlk first = scene.TheDisk;
        Assert.False(first.IsReadOnly);
        scene.Port.AskFor();
        scene.RunUntil(() => slot.Departures == 1 && scene.Port.Card is null);
        scene.Port.Insert(Card(new FakeBlockDevice(48).MakeReadOnly(), isPacked));
        scene.RunUntil(() => scene.Devices.Count == 2);
        Assert.Equal((48ul, true), (scene.TheDisk.SectorCount, scene.TheDisk.IsReadOnly));
        Assert.True(scene.Machine.Dma.TryAllocate(512, 512, out DmaBuffer buffer));
        Assert.Equal(IoStatus.Removed, first.Submit(TestRequest.For(BlockOperation.Read, 0, buffer)));
        scene.Machine.Dma.Free(buffer);
        scene.Read(scene.TheDisk);
    }

    private static FakeVirtioPciDevice Card(FakeBlockDevice device, bool isPacked)
    {
        device.OfferedFeatures |= isPacked ? FakeVirtioDevice.RingPacked : 0;
        return new FakeVirtioPciDevice(device);
    }
}
