// Fuzzing of hot-plug: cards that come, go, are swapped and pulled at any moment, and slots and cards whose registers say anything.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using VirtioSharp.Tests.Pci;
using Xunit;

namespace VirtioSharp.Tests.Fuzz;

/// <summary>Whatever happens to a slot: requests end once, and nothing of a card that left is left over.</summary>
internal static class SlotTargets
{
    /// <summary>One run.</summary>
    public static void Run(byte[] bytes)
    {
        FuzzInput input = new(bytes);
        byte first = input.Next8();
        List<TestRequest> taken = [];
        using (HotplugScene scene = new(hasMsi: (first & 1) != 0))
        {
            scene.Machine.MayMiss = true;
            if ((first & 2) != 0)
            {
                scene.Port.Say(input.Next8() | 0x40u);
            }
            scene.Watch();
            if ((first & 4) != 0)
            {
                scene.Port.OnConfigRead = (offset, width, value) => offset >= 0x40 ? Lied(input, width, value) : value;
            }
            for (int step = 0; step < 40 && !input.IsEmpty; step++)
            {
                byte what = input.Next8();
                Do(scene, input, taken, what & 7, what >> 3);
            }
            scene.Port.OnConfigRead = null;
        }
        Assert.True(taken.TrueForAll(request => request.Completions == 1), "a request ended twice or never");
    }

    private static void Do(HotplugScene scene, FuzzInput input, List<TestRequest> taken, int kind, int how)
    {
        switch (kind)
        {
            case 0 when scene.Port.Card is null:
                scene.Port.Insert(Card(input, how));
                break;
            case 0 when how == 31:
                scene.Port.Swap(Card(input, how));
                break;
            case 1:
                scene.Port.AskFor();
                break;
            case 2 when how >= 24:
                scene.Port.Yank();
                break;
            case 2:
                scene.Port.Flicker();
                break;
            case 3:
                scene.Port.ChangeLink();
                break;
            case 4:
                scene.Turn();
                break;
            case 5:
                scene.Machine.FakeClock.Advance(how < 24 ? 100_000_000u : 1_100_000_000u);
                scene.Devices.OnDeadline(scene.Machine.Clock.Now);
                scene.Turn();
                break;
            case 6 when scene.Disks.FirstOrDefault() is VirtioBlk disk:
                if (scene.TrySubmit(disk, (ulong)how, out TestRequest request))
                {
                    taken.Add(request);
                    disk.Kick();
                }
                break;
            case 7 when how < 16:
                scene.Port.CompletesCommands = (how & 1) != 0;
                break;
            case 7:
                scene.Port.Complete();
                break;
        }
    }

    private static FakeVirtioPciDevice Card(FuzzInput input, int how)
    {
        FakeVirtioPciDevice card = HotplugScene.Disk();
        if ((how & 1) != 0)
        {
            // Of its ids and its command register it tells the truth: a card that says that it is gone, or is a new one that can't reach memory, is
            // believed, and what was lent is given back. Places in BARs are other targets' business.
            card.OnConfigRead = (offset, width, value) => offset is < 6 or >= 0x10 ? value : Lied(input, width, value);
        }
        return card;
    }

    private static uint Lied(FuzzInput input, int width, uint value) =>
        (input.Next8() & 15) == 15 ? input.NextInteresting(value) & uint.MaxValue >> (32 - 8 * width) : value;
}
