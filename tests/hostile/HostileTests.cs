// Every fault against the disk driver: probe, requests, end. Nothing hangs, leaks, ends twice or never.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>The hostile cases as a theory.</summary>
public sealed class HostileDeviceTests
{
    private const int Requests = 6;
    private const uint Length = 2 * 512;

    /// <summary>All cases by their ids, with MSI-X and with a pin, with split and with packed rings.</summary>
    public static TheoryData<string, bool, bool> Cases => Expand(All);

    /// <summary>All cases.</summary>
    public static IEnumerable<FaultCase> All => ConfigSpaceFaults.All.Concat(RegisterFaults.All).Concat(RingFaults.All).Concat(PackedRingFaults.All);

    /// <summary>All cases, also those behind the legacy interface.</summary>
    public static IEnumerable<FaultCase> Everything => All.Concat(LegacyFaults.All);

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_driver_survives(string id, bool withMsix, bool packed)
    {
        FaultCase fault = All.Single(candidate => candidate.Id == id);
        Survive(fault, new FaultScene(withMsix, packed));
    }

    /// <summary>Plays one case to its end.</summary>
    internal static void Survive(FaultCase fault, FaultScene scene)
    {
        try
        {
            fault.Arrange(scene);
            DeviceTable devices = FakeBinding.Attach(scene.Machine, out List<ProbeResult> results);
            ProbeResult result = results.Count == 0 ? ProbeResult.NotMine : results.OrderBy(each => each.Status != ProbeStatus.NotMine).Last();
            if (fault.Expected is Outcome.NotFound or Outcome.Ignored or Outcome.Refused)
            {
                ExpectNoDevice(fault, scene, devices, result, results.Count);
            }
            else
            {
                Assert.True(devices.Count == 1, $"{fault.Story}: {result.Reason} (0x{result.Value:X})");
                ((VirtioBlk)devices[0]).MaxRecoveries = 0;
                DoRequests(fault, scene, (BlockDevice)devices[0]);
            }
            scene.Machine.Violations.AssertEmpty();
            Xunit.Assert.Equal(0, scene.Machine.HandlerCount);
            if (!fault.MayLeak)
            {
                scene.Machine.AssertNothingLeaked();
            }
        }
        finally
        {
            scene.Machine.Dispose();
        }
    }

    /// <summary>The cases in which a device breaks its ring or asks for a reset, and could do better the next time.</summary>
    public static TheoryData<string, bool, bool> BreakingCases =>
        Expand(All.Where(fault => fault.Expected == Outcome.Breaks && fault.Id is not ("R01" or "R11")));

    [Theory]
    [MemberData(nameof(BreakingCases))]
    public void The_driver_resets_a_device_that_broke_and_repeats_what_was_in_flight(string id, bool withMsix, bool packed)
    {
        FaultCase fault = All.Single(candidate => candidate.Id == id);
        FaultScene scene = new(withMsix, packed);
        try
        {
            fault.Arrange(scene);
            VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(scene.Machine);
            scene.Disk.AfterReset = () => scene.Disk.HoldsBack = false;
            DoRequests(fault with { Expected = Outcome.Works }, scene, disk);
            Assert.Equal(1ul, disk.Recoveries);
            Assert.InRange(disk.Repeats, 1ul, (ulong)Requests);
            scene.Machine.Violations.AssertEmpty();
            scene.Machine.AssertNothingLeaked();
        }
        finally
        {
            scene.Machine.Dispose();
        }
    }

    [Fact]
    public void Ids_of_faults_are_there_once() => Assert.Equal(Everything.Count(), Everything.Select(fault => fault.Id).Distinct().Count());

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void R09_without_memory_at_any_allocation_the_probe_fails_and_leaks_nothing(bool withMsix) =>
        ProbeSteps.WithoutMemoryAtEachAllocation(() => new FaultScene(withMsix));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void R10_a_device_that_vanishes_at_any_step_of_the_probe_is_refused(bool withMsix) => ProbeSteps.VanishingAtEachAccess(
        () => new FaultScene(withMsix),
        (scene, isGone) =>
        {
            scene.Function.OnReadCommon = (_, _, value) => isGone() ? uint.MaxValue : value;
            scene.Function.OnWriteCommon = (_, _, _) => isGone();
        },
        mayBeOverlooked: false);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void C13_a_function_that_vanishes_at_any_access_to_config_space_is_survived(bool withMsix) => ProbeSteps.VanishingAtEachAccess(
        () => new FaultScene(withMsix),
        (scene, isGone) =>
        {
            scene.Function.OnConfigRead = (_, _, value) => isGone() ? uint.MaxValue : value;
            scene.Function.OnConfigWrite = (_, _, _) => isGone();
        },
        mayBeOverlooked: true);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void I04_after_the_driver_has_ended_no_interrupt_reaches_it(bool withMsix)
    {
        FaultScene scene = new(withMsix);
        FakeBinding.Attach(scene.Machine, out _)[0].Remove();
        int before = scene.Machine.Interrupts;
        for (ushort vector = 0; vector < 4; vector++)
        {
            scene.Function.RaiseQueue(vector);
            scene.Function.RaiseConfig();
        }
        Assert.Equal(before, scene.Machine.Interrupts);
        scene.Machine.AssertNothingLeaked();
        scene.Machine.Dispose();
    }

    private static TheoryData<string, bool, bool> Expand(IEnumerable<FaultCase> faults)
    {
        TheoryData<string, bool, bool> data = [];
        foreach (FaultCase fault in faults)
        {
            foreach ((bool withMsix, bool packed) in new[] { (true, false), (false, false), (true, true), (false, true) })
            {
                bool fits = withMsix ? !fault.NeedsPin : !fault.NeedsMsix;
                if (fits && fault.Ring != (packed ? FaultRing.Split : FaultRing.Packed))
                {
                    data.Add(fault.Id, withMsix, packed);
                }
            }
        }
        return data;
    }

    private static void ExpectNoDevice(FaultCase fault, FaultScene scene, DeviceTable devices, ProbeResult result, int found)
    {
        Assert.Equal(0, devices.Count);
        ProbeStatus expected = fault.Expected == Outcome.Refused ? ProbeStatus.Failed : ProbeStatus.NotMine;
        Assert.True(expected == result.Status, $"{fault.Story}: {result.Status}, {result.Reason}");
        Assert.Equal(fault.Expected == Outcome.NotFound, found == 0);
        Assert.False(scene.AnyFunction.IsBusMaster, $"{fault.Story}: the device was left able to reach memory");
        if (fault.Expected == Outcome.Refused)
        {
            Assert.NotEmpty(result.Reason);
            // Whoever began with a device says that it gave up (3.1.1), and leaves it reset.
            Assert.True(scene.Disk.Resets == 0 || scene.Disk.WasGivenUp, $"{fault.Story}: FAILED was not written");
            Assert.True(scene.Disk.Status is 0 or 0x80, $"{fault.Story}: the device was left at status 0x{scene.Disk.Status:X2}");
        }
    }

    private static void DoRequests(FaultCase fault, FaultScene scene, BlockDevice disk)
    {
        byte[] before = (byte[])scene.Disk.Disk.Clone();
        DmaBuffer[] buffers = new DmaBuffer[Requests];
        TestRequest[] requests = new TestRequest[Requests];
        IoStatus[] answers = new IoStatus[Requests];
        for (int i = 0; i < Requests; i++)
        {
            Assert.True(disk.Dma.TryAllocate(Length, 512, out buffers[i]));
            bool isWrite = i % 3 == 2;
            buffers[i].Span.Fill((byte)(isWrite ? i : 0xEE));
            requests[i] = TestRequest.For(isWrite ? BlockOperation.Write : BlockOperation.Read, (ulong)i * 4, buffers[i]);
            answers[i] = disk.Submit(requests[i]);
        }
        disk.Kick();
        if (fault.Expected == Outcome.Empty)
        {
            Assert.All(answers, answer => Assert.Equal(IoStatus.OutOfRange, answer));
        }
        else
        {
            Assert.All(answers, answer => Assert.Equal(IoStatus.Ok, answer));
            scene.Machine.Run();
            scene.DuringRequests?.Invoke();
            WaitForAll(scene, disk, requests);
            Check(fault, scene, disk, requests, buffers, before);
        }
        disk.Remove();
        disk.Poll();
        Assert.All(requests, request => Assert.True(request.Completions <= 1, "a request ended twice"));
        foreach (DmaBuffer buffer in buffers)
        {
            disk.Dma.Free(buffer);
        }
    }

    private static void WaitForAll(FaultScene scene, BlockDevice disk, TestRequest[] requests)
    {
        ulong end = scene.Machine.Clock.Now + 120_000_000_000;
        while (requests.Any(request => request.Completions == 0))
        {
            disk.Poll();
            ulong now = scene.Machine.Clock.Now;
            Assert.True(now < end, "a request never ends");
            if (disk.NextDeadline <= now)
            {
                disk.OnDeadline(now);
            }
            scene.Machine.Clock.WaitForInterrupt(Math.Min(disk.NextDeadline, now + 100_000_000));
        }
    }

    private static void Check(FaultCase fault, FaultScene scene, BlockDevice disk, TestRequest[] requests, DmaBuffer[] buffers, byte[] before)
    {
        string statuses = string.Join(", ", requests.Select(request => request.Status));
        for (int i = 0; i < Requests; i++)
        {
            Assert.Equal(1, requests[i].Completions);
            if (requests[i].Status == IoStatus.Ok)
            {
                Assert.True(IsRight(i), $"{fault.Story}: request {i} ended well with other data");
            }
        }
        switch (fault.Expected)
        {
            case Outcome.Works:
                Assert.True(requests.All(request => request.Status == IoStatus.Ok), $"{fault.Story}: {statuses}");
                break;
            case Outcome.Fails:
                Assert.True(requests.Any(request => request.Status is IoStatus.DeviceError or IoStatus.Unsupported), $"{fault.Story}: {statuses}");
                scene.Disk.OnStatus = null;
                scene.Disk.Knows = null;
                scene.Queue.OnUsed = null;
                RunAgain(scene, disk, IoStatus.Ok);
                break;
            case Outcome.Breaks:
                Assert.True(requests.Any(request => request.Status == IoStatus.DeviceError), $"{fault.Story}: {statuses}");
                RunAgain(scene, disk, IoStatus.DeviceError);
                break;
            case Outcome.TimesOut:
                Assert.True(requests.All(request => request.Status == IoStatus.TimedOut), $"{fault.Story}: {statuses}");
                RunAgain(scene, disk, IoStatus.TimedOut);
                break;
        }

        bool IsRight(int i) => requests[i].Operation == BlockOperation.Read
            ? buffers[i].Span.SequenceEqual(before.AsSpan(i * 4 * 512, (int)Length))
            : !scene.Disk.Disk.AsSpan(i * 4 * 512, (int)Length).ContainsAnyExcept((byte)i);
    }

    /// <summary>The device goes on, or takes nothing any more.</summary>
    private static void RunAgain(FaultScene scene, BlockDevice disk, IoStatus expected)
    {
        Assert.True(disk.Dma.TryAllocate(512, 512, out DmaBuffer buffer));
        TestRequest request = TestRequest.For(BlockOperation.Read, 0, buffer);
        Assert.Equal(expected, disk.Submit(request));
        if (expected == IoStatus.Ok)
        {
            disk.Kick();
            WaitForAll(scene, disk, [request]);
            Assert.Equal(IoStatus.Ok, request.Status);
        }
        disk.Dma.Free(buffer);
    }
}
