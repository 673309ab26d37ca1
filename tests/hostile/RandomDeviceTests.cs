// Devices that do anything at all: whatever the seed, the drivers come to an end with everything accounted for.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>Seeded nonsense. A failure names its seed, and the same seed fails again.</summary>
public sealed class RandomDeviceTests
{
    [Fact]
    public void A_function_of_random_bytes_is_probed_to_an_end_and_leaks_nothing()
    {
        int bound = 0;
        for (int seed = 0; seed < 400; seed++)
        {
            using FakeMachine machine = new() { MayMiss = true, RefusesMemory = seed % 5 == 4 }; // and then there is config space only
            machine.Plug(MakeRandomFunction(new Random(seed)), 0, 1);
            DeviceTable devices = FakeBinding.Attach(machine, out _);
            while (devices.Count > 0)
            {
                bound++;
                Device device = devices[0];
                device.Poll();
                device.OnDeadline(machine.Clock.Now);
                device.Remove();
                devices.Remove(device);
            }
            Assert.True(machine.HandlerCount == 0 && machine.FakeDma.AllocatedBytes == 0, $"seed {seed} left something over");
        }
        Assert.True(bound > 0, "no function came as far as being bound: the test proves little");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_used_ring_of_random_entries_ends_every_request_once_and_none_well_that_was_not_done(bool packed)
    {
        for (int seed = 0; seed < 400; seed++)
        {
            Random random = new(seed);
            Place[] places = [.. Place.All.Where(place => place.IsPacked == packed)];
            HostileScene scene = new(places[seed % places.Length]);
            scene.Disk.HoldsBack = true;
            scene.Disk.IsTamperingAllowed = true;
            scene.Attach();
            BlockDevice disk = scene.BlockDriver;
            DmaBuffer[] buffers = new DmaBuffer[12];
            TestRequest[] requests = new TestRequest[12];
            for (int i = 0; i < requests.Length; i++)
            {
                Assert.True(disk.Dma.TryAllocate(512, 512, out buffers[i]));
                requests[i] = TestRequest.For(BlockOperation.Read, (ulong)i, buffers[i]);
                Assert.Equal(IoStatus.Ok, disk.Submit(requests[i]));
            }
            disk.Kick();
            scene.Machine.Run();
            int done = random.Next(4);
            for (int i = 0; i < done; i++)
            {
                scene.Disk.Complete(scene.Place.IsInOrder ? 0 : random.Next(scene.Disk.HeldBack.Count));
            }
            for (int lie = 0; lie < 20; lie++)
            {
                Lie(random, scene, packed);
                disk.Poll();
            }
            disk.Remove();
            Assert.True(requests.All(request => request.Completions == 1), $"seed {seed}: a request ended twice or never");
            Assert.True(requests.Count(request => request.Status == IoStatus.Ok) <= done, $"seed {seed}: a request ended well that was not done");
            foreach (DmaBuffer buffer in buffers)
            {
                disk.Dma.Free(buffer);
            }
            scene.Machine.AssertNothingLeaked();
            scene.Machine.Dispose();
        }
    }

    private static void Lie(Random random, HostileScene scene, bool packed)
    {
        if (scene.Queue.DeviceArea == 0)
        {
            return; // the driver has given the device up
        }
        uint someHead = scene.Disk.HeldBack.Count > 0 ? scene.Disk.HeldBack[random.Next(scene.Disk.HeldBack.Count)].Head : 0u;
        uint[] ids = [someHead, someHead, someHead + 1, scene.Queue.Size, uint.MaxValue, (uint)random.Next(64), (uint)random.Next()];
        uint[] lengths = [0, 1, 512, 513, 514, uint.MaxValue, (uint)random.Next()];
        (uint id, uint length) = (ids[random.Next(ids.Length)], lengths[random.Next(lengths.Length)]);
        switch (random.Next(8))
        {
            case 0 when packed:
                scene.Queue.Packed.WriteUsedDescriptor(random.Next(64), (ushort)id, length);
                break;
            case 1 when packed:
                scene.Queue.Packed.WriteFlags(scene.Queue.Packed.UsedOffset, (ushort)random.Next(0x10000));
                break;
            case 2 when packed:
                scene.Queue.Packed.WriteUsedElement((ushort)id, length);
                break;
            case 3 when packed:
                scene.Queue.Packed.WriteEvent((ushort)random.Next(0x10000), (ushort)random.Next(0x10000));
                break;
            case 0:
                scene.Queue.Split.WriteUsedElement((ushort)random.Next(64), id, length);
                break;
            case 1:
                scene.Queue.Split.WriteUsedIndex((ushort)(scene.Queue.Split.UsedIndex + random.Next(-2, 4)));
                break;
            case 2:
                scene.Queue.Split.WriteUsedFlags((ushort)random.Next(0x10000));
                break;
            case 3:
                scene.Queue.Split.WriteAvailableEvent((ushort)random.Next(0x10000));
                break;
            case 4:
                random.NextBytes(scene.Machine.FakeDma.Raw(scene.Queue.DescriptorArea, 16 * scene.Queue.Size));
                break;
            case 5:
                scene.Interrupt();
                break;
            default:
                scene.Queue.PushUsed(id, length);
                break;
        }
    }

    /// <summary>
    /// A block device, console or entropy device by its ids, whose registers are plain memory: what is written is read back, and the rest is random.
    /// </summary>
    private static FakePciFunction MakeRandomFunction(Random random)
    {
        FakePciFunction function = new(0x1AF4, (ushort)(0x1042 + random.Next(3)));
        int bars = random.Next(1, 4);
        for (int i = 0; i < bars; i++)
        {
            FakeMemoryBar bar = new(0x4000);
            for (ulong offset = 0; offset < bar.Length; offset += 4)
            {
                // Mostly zeroes, so that some functions come far.
                bar.Write(offset, 4, random.Next(3) == 0 ? (uint)random.Next() : 0);
            }
            bar.Write(4, 4, 0xFFFF_FFFF); // features: everything, in both words
            bar.Write(18, 2, 8);
            bar.Write(20, 2, 0);
            bar.Write(24, 2, random.Next(2) == 0 ? 64u : (uint)random.Next());
            bar.Write(28, 2, random.Next(4) == 0 ? 1u : 0);
            bar.Write(30, 2, (uint)random.Next(4));
            function.AddMemoryBar(i * 2, bar, is64Bit: random.Next(2) == 0);
        }
        if (random.Next(2) == 0)
        {
            byte[] msix = new byte[10];
            random.NextBytes(msix);
            msix[1] &= 7;
            function.AddCapability(PciRegisters.CapabilityMsix, msix);
        }
        function.Set8(PciRegisters.InterruptPin, (byte)random.Next(6));
        byte[] types = [1, 2, 3, 4, 5, 8, 1, 2, 3, 4];
        for (int i = 0; i < types.Length; i++)
        {
            byte[] body = new byte[types[i] == 8 ? 22 : 18];
            random.NextBytes(body);
            bool sane = random.Next(4) != 0;
            body[0] = sane ? (byte)(body.Length + 2) : body[0];
            body[1] = sane ? types[i] : body[1];
            body[2] = sane ? (byte)(random.Next(bars) * 2) : body[2];
            BitConverter.TryWriteBytes(body.AsSpan(6), sane ? types[i] == 1 ? 0 : (uint)random.Next(16) * 0x100 : (uint)random.Next());
            BitConverter.TryWriteBytes(body.AsSpan(10), sane ? (uint)random.Next(0x1000) : (uint)random.Next());
            BitConverter.TryWriteBytes(body.AsSpan(14), random.Next(2) == 0 ? 4u : (uint)random.Next());
            function.AddCapability(PciRegisters.CapabilityVendor, body);
        }
        return function;
    }
}
