// 200,000 random requests on each format of ring, against a model of the disk; all indices go round several times.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Apps;
using VirtioSharp.Kernel.Tasks;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Apps;

[Collection("kernel-tasks")] // the pool of requests is one for a kernel, which has one thread
public sealed class DiskStressTests
{
    [Theory]
    [InlineData(0ul, 64, 1, 200_000)]
    [InlineData(FakeVirtioDevice.RingPacked, 64, 1, 200_000)]
    [InlineData(0ul, 16, 3, 50_000)]
    [InlineData(FakeVirtioDevice.RingPacked, 13, 2, 50_000)]
    [InlineData(FakeVirtioDevice.RingPacked | FakeVirtioDevice.InOrder, 32, 1, 50_000)]
    [InlineData(FakeVirtioDevice.InOrder, 32, 1, 50_000)]
    [Trait("Requirement", "BLK-DISCARD-3")]
    public void Nothing_is_ever_read_but_what_was_written(ulong features, int queueSize, int queues, int requests)
    {
        using FakeMachine machine = new();
        FakeBlockDevice device = new FakeBlockDevice(256, (ushort)queueSize, queues)
            .Allow(FakeBlockDevice.Discard, 20).Allow(FakeBlockDevice.WriteZeroes, 30);
        device.OfferedFeatures |= features;
        machine.Plug(device);
        DeviceTable devices = FakeBinding.Attach(machine, out _);
        VirtioBlk disk = Assert.IsType<VirtioBlk>(devices[0]);
        DiskStress stress = new(disk, seed: 1 + (ulong)queueSize);
        RunLoop loop = new(machine.Clock, devices);
        loop.Run(RunAsync(stress, (ulong)requests));
        Assert.Equal(("", 0ul), (stress.Error, stress.ErrorBlock));
        byte[] block = new byte[512];
        for (uint i = 0; i < stress.Blocks; i++)
        {
            stress.Expect(i, block);
            Assert.True(block.AsSpan().SequenceEqual(device.Durable.AsSpan((int)i * 512, 512)), $"block {i} of the medium");
        }
        disk.Remove();
        machine.Violations.AssertEmpty();
        machine.AssertNothingLeaked();
    }

    [Fact]
    public void A_disk_that_changes_a_single_bit_is_found_out()
    {
        using FakeMachine machine = new();
        FakeBlockDevice device = new(256);
        machine.Plug(device);
        DeviceTable devices = FakeBinding.Attach(machine, out _);
        DiskStress stress = new((BlockDevice)devices[0], seed: 5);
        int writes = 0;
        device.OnStatus = status =>
        {
            device.Disk[100 * 512 + 7] ^= ++writes == 500 ? (byte)1 : (byte)0;
            return status;
        };
        new RunLoop(machine.Clock, devices).Run(RunAsync(stress, 5000));
        Assert.Equal(("what was read is not what was written", 100ul), (stress.Error, stress.ErrorBlock));
    }

    private static async ValueTask RunAsync(DiskStress stress, ulong requests) => await stress.RunAsync(requests, 16);
}
