// QEMU as the judge of queues: buffers of any shape for the fake source of entropy and for QEMU's, which give the same bytes.
using System.IO;
using VirtioSharp.Tests.Backends.Qtest;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Entropy;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>
/// Room, order, lengths, bytes, doorbells and interrupts have to be the same. QEMU asks its host for bytes with each doorbell, also for buffers that
/// it asked for before, and drops what it gets too much: so nothing is added while it holds something (with ioeventfd a start is a doorbell, too).
/// The first interrupt behind a start comes whatever the driver asked for: there interrupts are wanted always. And with a
/// packed ring and EVENT_IDX QEMU compares positions of different rounds when the ring wraps, and sends an interrupt too many.
/// </summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class EntropyJudgeTests
{
    private const int Rounds = 250;

    private static readonly string[] OnOff = ["off", "on"];

    /// <summary>Both formats with every set of features that QEMU has, and sizes of the ring.</summary>
    public static TheoryData<QueueFeatures, int> Rings
    {
        get
        {
            TheoryData<QueueFeatures, int> data = [];
            for (int bits = 0; bits < 1 << 3; bits++)
            {
                foreach (int size in (bits & (int)QueueFeatures.Packed) != 0 ? new[] { 7, 3 } : [8, 4])
                {
                    data.Add((QueueFeatures)bits, size);
                }
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Rings))]
    public void What_a_driver_sees_of_a_queue_of_the_fake_is_what_it_sees_of_QEMUs(QueueFeatures features, int size)
    {
        string folder = QtestBinding.NewFolder();
        string pipe = Path.Combine(folder, "bytes");
        using (global::System.Diagnostics.Process made = global::System.Diagnostics.Process.Start("mkfifo", pipe))
        {
            made.WaitForExit();
        }
        using FileStream source = new(pipe, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, 0);
        using QtestMachine qemu = new(folder,
            "-object", $"rng-random,id=r,filename={pipe}",
            "-device", $"virtio-rng-pci,rng=r,disable-legacy=on,ioeventfd=off,packed={Switch(features, QueueFeatures.Packed)}" +
            $",event_idx={Switch(features, QueueFeatures.EventIndex)},indirect_desc={Switch(features, QueueFeatures.Indirect)}");
        FakeMachine machine = new();
        FakeEntropyDevice device = new();
        device.OfferedFeatures = FakeVirtioDevice.Version1 | features.Bits();
        machine.Plug(device);
        using (EntropyJudge ours = new(machine, features, (ushort)size))
        using (EntropyJudge theirs = new(qemu, features, (ushort)size))
        {
            Random random = new(size * 8 + (int)features);
            int taken = 0;
            bool isNew = true;
            bool isVague = features.HasFlag(QueueFeatures.Packed | QueueFeatures.EventIndex);
            for (int round = 0; round < Rounds; round++)
            {
                string[] seen = Round(ours, theirs, device, source, random, size, isVague, ref taken, ref isNew);
                Assert.True(seen.Length == 0, $"round {round}: {string.Join("; ", seen)}");
            }
            Assert.True(taken > Rounds / 2, $"{taken} buffers came back");
        }
        machine.AssertNothingLeaked();
        machine.Dispose();
    }

    private static string Switch(QueueFeatures features, QueueFeatures one) => OnOff[features.HasFlag(one) ? 1 : 0];

    /// <summary>Adds, publishes, gives bytes in portions until all came back; the answer is the first difference.</summary>
    private static string[] Round(
        EntropyJudge ours, EntropyJudge theirs, FakeEntropyDevice device, FileStream source, Random random, int size, bool isVague, ref int taken, ref bool isNew)
    {
        int room = 0;
        List<(string Ours, string Theirs)> seen = [];
        for (int count = random.Next(0, 7); count > 0; count--)
        {
            int[] lengths = [.. Enumerable.Range(0, random.Next(1, 6) % size + 1).Select(_ => random.Next(1, random.Next(4) == 0 ? 180 : 20))];
            ushort token = (ushort)count;
            (string Ours, string Theirs) added = (ours.Add(token, lengths), theirs.Add(token, lengths));
            room += added.Ours.Contains("added", StringComparison.Ordinal) ? lengths.Sum() : 0;
            seen.Add(added);
        }
        if (random.Next(8) == 0)
        {
            isNew = true;
            seen.Add((ours.Restart(), theirs.Restart()));
            return Difference(seen);
        }
        bool wants = isNew || random.Next(2) == 0;
        seen.Add((ours.Wish(wants), theirs.Wish(wants)));
        seen.Add((ours.Kick(), theirs.Kick()));
        while (room > 0 && Difference(seen).Length == 0)
        {
            byte[] bytes = new byte[random.Next(3) == 0 ? random.Next(1, room + 1) : room];
            random.NextBytes(bytes);
            device.Give(bytes);
            List<string> mine = ours.Take(-1);
            source.Write(bytes);
            List<string> his = theirs.Take(mine.Count - 1);
            if (isVague && mine[^1].StartsWith("no", StringComparison.Ordinal))
            {
                his[^1] = his[^1].Replace("an interrupt", "no interrupt", StringComparison.Ordinal);
            }
            seen.AddRange(mine.Zip(his));
            seen.Add(($"{mine.Count} lines", $"{his.Count} lines"));
            taken += mine.Count - 1;
            isNew = false;
            // A buffer that was filled in part has come back, and its rest is room no more.
            room = ours.InFlight == 0 ? 0 : Math.Max(0, room - mine.Take(mine.Count - 1).Sum(LengthOf));
        }
        return Difference(seen);
    }

    /// <summary>The room of the buffer that a line is about.</summary>
    private static int LengthOf(string line) => line.Split(" of ")[1].Split(':')[0].Split('+').Sum(int.Parse);

    private static string[] Difference(List<(string Ours, string Theirs)> seen) =>
        [.. seen.Where(pair => pair.Ours != pair.Theirs).Take(1).Select(pair => $"QEMU: {pair.Theirs}; the fake: {pair.Ours}")];
}
