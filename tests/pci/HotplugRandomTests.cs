// Slots whatever happens to them, in whatever order.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>Hands that insert, pull, swap and press at any moment, and disks that hold requests back meanwhile.</summary>
public sealed class HotplugRandomTests
{
    private const int Seeds = 60;
    private const int Steps = 200;
    private const ulong Second = 1_000_000_000;

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public void Every_request_ends_once_and_at_the_end_a_card_works(bool hasMsi, bool byFirmware)
    {
        using CapturedLog log = new();
        for (int seed = 0; seed < Seeds; seed++)
        {
            Random random = new(seed);
            using HotplugScene scene = new(hasMsi, byFirmware);
            List<TestRequest> requests = [];
            scene.Machine.MayMiss = true;
            if (random.Next(2) == 0)
            {
                scene.Port.Insert(Card(random));
            }
            PciHotplugSlot slot = scene.Watch();
            for (int step = 0; step < Steps; step++)
            {
                Step(scene, random, requests);
            }
            End(scene, slot);
            Assert.All(requests, request => Assert.Equal(1, request.Completions));
            Assert.All(requests, request => Assert.True(request.Status is IoStatus.Ok or IoStatus.Removed or IoStatus.DeviceError));
            Assert.InRange(slot.Arrivals - slot.Departures, 1, 1);
        }
    }

    private static void Step(HotplugScene scene, Random random, List<TestRequest> requests)
    {
        FakeRootPort port = scene.Port;
        switch (random.Next(12))
        {
            case 0 when port.Card is null:
            case 1 when port.Card is null:
                port.Insert(Card(random));
                break;
            case 2:
                port.Yank();
                break;
            case 3:
                port.AskFor();
                break;
            case 4:
                port.Flicker();
                break;
            case 5:
                port.Swap(Card(random));
                break;
            case 6:
                port.CompletesCommands = random.Next(4) != 0;
                break;
            case 7:
                port.Complete();
                break;
            case 8:
                Submit(scene, random, requests);
                break;
            case 9:
                scene.Turn();
                break;
            default:
                scene.Pass((ulong)random.Next(1, 200_000_000));
                break;
        }
    }

    private static FakeVirtioPciDevice Card(Random random)
    {
        FakeVirtioPciDevice card = HotplugScene.Disk((ulong)random.Next(8, 64));
        ((FakeBlockDevice)card.Device).HoldsBack = random.Next(2) == 0;
        return card;
    }

    private static void Submit(HotplugScene scene, Random random, List<TestRequest> requests)
    {
        if (scene.Disks.FirstOrDefault() is not VirtioBlk disk)
        {
            return;
        }
        for (int i = random.Next(1, 8); i > 0; i--)
        {
            if (scene.TrySubmit(disk, (ulong)i, out TestRequest request))
            {
                requests.Add(request);
            }
        }
        disk.Kick();
    }

    /// <summary>Ends in good order: the card is pulled and another one put in, which works.</summary>
    private static void End(HotplugScene scene, PciHotplugSlot slot)
    {
        scene.Port.CompletesCommands = true;
        scene.Port.Complete();
        scene.Port.Yank();
        scene.Pass(3 * Second);
        Assert.Equal((1, slot.Arrivals), (scene.Devices.Count, slot.Departures));
        Assert.Equal((1, 0ul), (scene.Functions.Count, scene.Machine.FakeDma.AllocatedBytes - scene.BufferBytes));
        scene.Port.Insert(HotplugScene.Disk());
        scene.RunUntil(() => scene.Devices.Count == 2);
        scene.Read(scene.TheDisk);
    }
}
