// Fuzzing of a disk and a console in service: answers, lengths, configuration, moments.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fuzz;

/// <summary>Devices that keep to the rules of the ring but for what the bytes change.</summary>
internal static class DeviceTargets
{
    private const int Requests = 6;

    /// <summary>A disk whose answers are anything.</summary>
    public static void Blk(byte[] bytes)
    {
        FuzzInput input = new(bytes);
        byte first = input.Next8();
        FakeMachine machine = new();
        try
        {
            FakeBlockDevice device = new(64) { HoldsBack = true, IsTamperingAllowed = true };
            device.OfferedFeatures |= (first & 1) != 0 ? FakeVirtioDevice.RingPacked : 0;
            device.OfferedFeatures &= ~((first & 2) != 0 ? FakeVirtioDevice.EventIndex : 0);
            device.Limit((first & 4) != 0 ? 2u : 0, (first & 8) != 0 ? 1024u : 0);
            if ((first & 32) != 0)
            {
                device.Allow(FakeBlockDevice.Discard, 8, 2).Allow(FakeBlockDevice.WriteZeroes, 16).Allow(FakeBlockDevice.SecureErase, 8);
                device.OfferedFeatures |= FakeBlockDevice.Lifetime;
            }
            BlockDevice disk = FakeBinding.AttachMmio<BlockDevice>(machine, device, (first & 16) != 0 && (first & 1) == 0 ? 1u : 2u);
            UseDisk(machine, device, disk, input);
        }
        finally
        {
            machine.Dispose();
        }
    }

    /// <summary>A console whose lengths and configuration are anything.</summary>
    public static void Console(byte[] bytes)
    {
        FuzzInput input = new(bytes);
        byte first = input.Next8();
        FakeMachine machine = new();
        try
        {
            FakeConsoleDevice device = new((ushort)(1 << (first >> 5))) { IsTamperingAllowed = true };
            device.OfferedFeatures |= (first & 1) != 0 ? FakeVirtioDevice.RingPacked : 0;
            device.OfferedFeatures &= ~((first & 2) != 0 ? FakeVirtioDevice.EventIndex : 0);
            if ((first & 4) != 0)
            {
                device.SetSize(80, 25);
            }
            UseConsole(machine, device, FakeBinding.AttachMmio<ConsoleDevice>(machine, device, 2), input);
        }
        finally
        {
            machine.Dispose();
        }
    }

    private static void UseDisk(FakeMachine machine, FakeBlockDevice device, BlockDevice disk, FuzzInput input)
    {
        FakeVirtqueue queue = device.Queues[0];
        List<TestRequest> taken = [];
        Assert.True(disk.Dma.TryAllocate(Requests * 2048, 512, out DmaBuffer memory));
        device.AfterReset = () => device.IsHeld = false;
        queue.OnUsed = (id, length) =>
        {
            if (!Lie(input))
            {
                return (id, length);
            }
            uint other = input.NextInteresting(id);
            device.IsHeld |= other != id;
            return (other, input.NextInteresting(length));
        };
        device.OnStatus = status => Lie(input) ? input.Next8() : status;
        device.OnReadConfig = (_, width, value) => Lie(input) ? input.NextInteresting(value) & uint.MaxValue >> (32 - 8 * width) : value;
        device.OnReadGeneration = generation => Lie(input) ? input.Next8() : generation;
        device.HasShrunk = true; // or the driver was told of sectors that are not there
        for (int step = 0; step < 48 && !input.IsEmpty; step++)
        {
            byte what = input.Next8();
            switch (what & 7)
            {
                case 0 or 1 when taken.Count < Requests:
                    BlockOperation operation = (BlockOperation)(what >> 3 & 7);
                    ulong sector = operation is BlockOperation.Flush or BlockOperation.GetId or BlockOperation.GetLifetime ? 0 : (ulong)input.Next8() % 64;
                    uint count = 1 + (uint)(what >> 6);
                    TestRequest request = new();
                    if (operation >= BlockOperation.Discard)
                    {
                        request.PrepareRange(operation, sector, count * 5);
                    }
                    else
                    {
                        uint length = operation switch
                        {
                            BlockOperation.GetId => 20,
                            BlockOperation.GetLifetime => BlockLifetime.Length,
                            _ => count * 512,
                        };
                        request.Prepare(operation, sector, operation == BlockOperation.Flush ? default : memory.Slice((uint)taken.Count * 2048, length));
                    }
                    if (disk.Submit(request) == IoStatus.Ok)
                    {
                        taken.Add(request);
                    }
                    break;
                case 2:
                    disk.Kick();
                    machine.Run();
                    break;
                case 3 when device.HeldBack.Count > 0 && !device.IsHeld:
                    device.Complete((what >> 3) % device.HeldBack.Count);
                    break;
                case 4:
                    disk.Poll();
                    break;
                case 5:
                    machine.FakeClock.Advance((what & 8) != 0 ? 40_000_000_000ul : 10_000_000);
                    disk.OnDeadline(machine.Clock.Now);
                    break;
                case 6 when (what & 8) != 0 && device.IsLive:
                    device.AskForReset();
                    break;
                case 6:
                    device.ChangeConfig(config => input.NextBytes(4, 64).CopyTo(config, (what >> 4 & 1) * 4));
                    break;
                case 7 when queue.IsEnabled && queue.Held > 0:
                    device.IsHeld = true; // from here on the fake and the driver disagree on the ring: until it is reset
                    queue.PushUsed(input.NextInteresting(queue.Size), input.NextInteresting(513));
                    break;
            }
        }
        disk.Remove();
        Assert.True(taken.TrueForAll(request => request.Completions == 1), "a request ended twice or never");
        disk.Dma.Free(memory);
        machine.AssertNothingLeaked();
    }

    private static void UseConsole(FakeMachine machine, FakeConsoleDevice device, ConsoleDevice console, FuzzInput input)
    {
        ConsolePort port = console.Port(0);
        byte[] some = new byte[600];
        device.AfterReset = () => device.IsHeld = false;
        device.OnReceived = length => Lie(input) ? input.NextInteresting(length) : length;
        device.OnReadConfig = (_, width, value) => Lie(input) ? input.NextInteresting(value) & uint.MaxValue >> (32 - 8 * width) : value;
        device.OnReadGeneration = generation => Lie(input) ? input.Next8() : generation;
        for (int step = 0; step < 48 && !input.IsEmpty; step++)
        {
            byte what = input.Next8();
            FakeVirtqueue queue = device.Queues[what >> 3 & 1];
            switch (what & 7)
            {
                case 0:
                    Assert.True(port.Write(some.AsSpan(0, 1 + (what >> 3) * 19)) <= some.Length);
                    break;
                case 1:
                    Assert.True(port.Read(some.AsSpan(0, 1 + (what >> 3) * 19)) <= some.Length);
                    break;
                case 2:
                    device.Type(some.AsSpan(0, 1 + (what >> 3) * 19));
                    break;
                case 3:
                    machine.Run();
                    break;
                case 4:
                    console.Poll();
                    break;
                case 5:
                    machine.FakeClock.Advance(200_000_000);
                    console.OnDeadline(machine.Clock.Now);
                    break;
                case 6 when (what & 0x30) == 0x30 && device.IsLive:
                    device.AskForReset();
                    break;
                case 6:
                    device.TransmitUsedLength = input.Next8();
                    device.TransmitCredit = what >> 6;
                    break;
                case 7 when queue.IsEnabled && queue.Held > 0:
                    device.IsHeld = true;
                    queue.PushUsed(input.NextInteresting(queue.Size), input.NextInteresting(64));
                    break;
            }
        }
        console.Remove();
        machine.AssertNothingLeaked();
    }

    /// <summary>Mostly not: a device that only lies does not come far.</summary>
    private static bool Lie(FuzzInput input) => (input.Next8() & 7) == 7;
}
