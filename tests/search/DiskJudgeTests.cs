// QEMU as the judge: the same random requests for the fake disk and for QEMU's, and what can be seen of them has to be the same.
using System.IO;
using VirtioSharp.Tests.Backends.Qtest;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>A difference is a mistake of the fake, which all other tests believe, or of the driver; or it is written down in decision 25.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class DiskJudgeTests
{
    private const int Sectors = 256;
    private const int Rounds = 150;

    private static readonly string[] OnOff = ["off", "on"];

    /// <summary>Both formats with every set of features that QEMU has, and sizes of the ring.</summary>
    public static TheoryData<QueueFeatures, int> Rings
    {
        get
        {
            TheoryData<QueueFeatures, int> data = [];
            for (int bits = 0; bits < 1 << 3; bits++)
            {
                data.Add((QueueFeatures)bits, (bits & (int)QueueFeatures.Packed) != 0 ? 13 : 16);
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Rings))]
    public void What_a_driver_sees_of_the_fake_disk_is_what_it_sees_of_QEMUs(QueueFeatures features, int size)
    {
        byte[] content = new byte[Sectors * 512];
        new Random(size).NextBytes(content);
        string folder = QtestBinding.NewFolder();
        string image = Path.Combine(folder, "disk.img");
        File.WriteAllBytes(image, content);
        using QtestMachine qemu = new(folder,
            "-drive", $"if=none,id=d,file={image},format=raw",
            "-device", $"virtio-blk-pci,drive=d,serial=judged,disable-legacy=on,queue-size=256,packed={Switch(features, QueueFeatures.Packed)}" +
            $",event_idx={Switch(features, QueueFeatures.EventIndex)},indirect_desc={Switch(features, QueueFeatures.Indirect)}");
        FakeMachine machine = new();
        FakeBlockDevice device = new(Sectors, 256) { Id = "judged"u8.ToArray(), HasShrunk = true, Knows = type => type < 100 };
        device.OfferedFeatures = FakeVirtioDevice.Version1 | FakeBlockDevice.Flush | features.Bits();
        device.Allow(FakeBlockDevice.WriteZeroes, 64);
        content.CopyTo(device.Disk, 0);
        machine.Plug(device);

        using (DiskJudge ours = new(machine, features, (ushort)size, FakeBlockDevice.Flush | FakeBlockDevice.WriteZeroes))
        using (DiskJudge theirs = new(qemu, features, (ushort)size, FakeBlockDevice.Flush | FakeBlockDevice.WriteZeroes))
        {
            Assert.Equal(theirs.DescribeDevice(), ours.DescribeDevice());
            Random random = new((int)features);
            int compared = 0;
            for (int round = 0; round < Rounds; round++)
            {
                List<JudgedRequest> requests = Next(random);
                List<string> expected = theirs.Do(requests);
                List<string> seen = ours.Do(requests);
                compared += requests.Count;
                for (int i = 0; i < expected.Count; i++)
                {
                    Assert.True(expected[i] == seen[i], $"round {round}: QEMU's disk: {expected[i]}; the fake: {seen[i]}");
                }
            }
            Assert.True(compared > Rounds);
        }
        Assert.Equal(File.ReadAllBytes(image), device.Disk);
        machine.AssertNothingLeaked();
        machine.Dispose();
    }

    private static string Switch(QueueFeatures features, QueueFeatures one) => OnOff[features.HasFlag(one) ? 1 : 0];

    /// <summary>Some requests at once, of which none touches what another one writes.</summary>
    private static List<JudgedRequest> Next(Random random)
    {
        List<JudgedRequest> requests = [];
        HashSet<ulong> touched = [];
        for (int count = random.Next(1, 8); count > 0; count--)
        {
            int sectors = random.Next(1, 9);
            ulong sector = random.Next(8) == 0 ? (ulong)random.Next(Sectors - 8, Sectors + 8) : (ulong)random.Next(Sectors - 8);
            int cuts = random.Next(64);
            JudgedRequest request = random.Next(12) switch
            {
                0 => new(4, 0, 0, 0),
                1 => new(8, 0, 20, 0),
                2 => new((uint)random.Next(100, 200), 0, 512, 0),
                3 => new(13, sector, sectors * 512, 0),
                < 8 => new(0, sector, sectors * 512, cuts),
                _ => new(1, sector, sectors * 512, cuts),
            };
            bool isFree = request.Type is not (0 or 1 or 13) || Enumerable.Range(0, sectors).All(i => touched.Add(sector + (ulong)i));
            if (isFree)
            {
                requests.Add(request);
            }
        }
        return requests;
    }
}
