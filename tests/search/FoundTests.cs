// What random sequences and fuzzing found, as tests that say what it was.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>Each of these failed once.</summary>
public sealed class FoundTests
{
    [Fact]
    public void A_doorbell_that_is_lost_behind_a_recovery_is_made_good_for_though_one_was_before_it()
    {
        using FakeBlockBackend backend = new(new BlockSetup(Sectors: 64));
        FakeClockStep step = new(backend);
        Assert.True(backend.TryHoldBack());
        TestRequest request = TestRequest.For(BlockOperation.Flush, 0, default);
        Assert.Equal(IoStatus.Ok, backend.Disk.Submit(request));
        backend.Disk.Kick();
        step.Pass();
        backend.Device.Queues[0].LoseNotifications = 1;
        backend.Device.AskForReset();
        backend.Disk.Poll();
        backend.LetGo();
        for (int i = 0; i < 3 && request.Completions == 0; i++)
        {
            step.Pass();
        }
        Assert.Equal((1, IoStatus.Ok), (request.Completions, request.Status));
        backend.Disk.Remove();
    }

    private sealed class FakeClockStep(FakeBlockBackend backend)
    {
        /// <summary>The interval after which the driver looks again.</summary>
        public void Pass()
        {
            backend.Device.Machine.FakeClock.Advance(10_000_000);
            backend.Disk.OnDeadline(backend.Clock.Now);
            backend.Device.Machine.Run();
            backend.Disk.Poll();
        }
    }
}
