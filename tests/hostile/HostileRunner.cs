// Plays a hostile case at a place: probe, requests, end, and once more with a device that behaves.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>
/// After each case five things are so: what was expected came of it; nobody touched memory that was not lent; every request ended exactly
/// once; nothing is left over, no memory, no message, no handler; and the driver is usable again with the same device, or failed for good
/// with a status that says so.
/// </summary>
internal static class HostileRunner
{
    /// <summary>Plays a case; one that breaks the device is played a second time with a driver that may reset it.</summary>
    internal static void Play(HostileCase fault, Place place)
    {
        Outcome expected = fault.ExpectedAt(place);
        Play(fault, place, mayRecover: false);
        if (expected is Outcome.Breaks or Outcome.TimesOut or Outcome.Contained && !fault.IsGone)
        {
            Play(fault, place, mayRecover: true);
        }
    }

    /// <summary>Fails when a rule was broken or when something is left over.</summary>
    private static void ExpectNothingLeft(HostileScene scene, bool mayLeak, int messages)
    {
        scene.Machine.Violations.AssertEmpty();
        Assert.Equal((0, messages), (scene.Machine.HandlerCount, scene.Machine.Messages));
        Assert.False(scene.AnyFunction is { IsPresent: true, IsBusMaster: true } && !mayLeak, "the device was left able to reach memory");
        if (!mayLeak)
        {
            scene.Machine.AssertNothingLeaked();
        }
    }

    private static void Play(HostileCase fault, Place place, bool mayRecover)
    {
        using CapturedLog log = new();
        using HostileScene scene = new(place, fault.Subject);
        scene.Arrange(fault);
        int messages = scene.Machine.Messages;
        ProbeResult? result = scene.Attach();
        Outcome expected = fault.ExpectedAt(place);
        if (expected is Outcome.NotFound or Outcome.Ignored or Outcome.Refused)
        {
            ExpectNoDevice(fault, expected, scene, result);
        }
        else
        {
            Assert.True(scene.InService is not null, $"{result?.Reason} (0x{result?.Value:X})");
            Work(fault, expected, scene, mayRecover);
            ExpectMessages(fault, expected, log, mayRecover);
        }
        ExpectNothingLeft(scene, fault.MayLeak, messages);
        if (!fault.IsFinal)
        {
            WorkAgain(fault, scene);
        }
    }

    private static void Work(HostileCase fault, Outcome expected, HostileScene scene, bool mayRecover)
    {
        if (scene.InService is VirtioBlk)
        {
            DiskWork.Do(fault, expected, scene, mayRecover);
        }
        else
        {
            ConsoleWork.Do(fault, expected, scene);
        }
    }

    /// <summary>The same device, which has come to its senses, is taken into service once more.</summary>
    private static void WorkAgain(HostileCase fault, HostileScene scene)
    {
        scene.Behave();
        HostileCase sane = new("", "a device that behaves", Outcome.Works, _ => { }) { Subject = fault.Subject };
        int messages = scene.Machine.Messages;
        ProbeResult? result = scene.Attach();
        Assert.True(scene.InService is not null, $"afterwards: {result?.Reason} (0x{result?.Value:X})");
        Work(sane, Outcome.Works, scene, mayRecover: false);
        ExpectNothingLeft(scene, fault.MayLeak, messages);
    }

    /// <summary>Why a device is reset or given up is said, and that it is given up.</summary>
    private static void ExpectMessages(HostileCase fault, Outcome expected, CapturedLog log, bool mayRecover)
    {
        if (expected is Outcome.Breaks or Outcome.TimesOut or Outcome.Contained)
        {
            string all = string.Join(Environment.NewLine, log.Entries);
            Assert.True(log.Entries.Exists(entry => Reasons.MessagesOf(fault.Id).Any(entry.StartsWith)), $"it is not said why: {all}");
            Assert.True(mayRecover || log.Entries.Exists(entry => entry.Contains(": the device is given up; ")), $"it is not said what becomes of it: {all}");
        }
    }

    private static void ExpectNoDevice(HostileCase fault, Outcome expected, HostileScene scene, ProbeResult? result)
    {
        Assert.Null(scene.InService);
        Assert.Equal(expected == Outcome.NotFound, result is null);
        if (result is ProbeResult found)
        {
            Assert.True((expected == Outcome.Refused ? ProbeStatus.Failed : ProbeStatus.NotMine) == found.Status, $"{found.Status}, {found.Reason}");
        }
        Assert.False(scene.AnyFunction?.IsBusMaster ?? false, "the device was left able to reach memory");
        if (expected == Outcome.Refused)
        {
            Assert.StartsWith(Reasons.Of(fault.Id), result!.Value.Reason);
            // Whoever began with a device says that it gave up (3.1.1), and leaves it reset.
            Assert.True(scene.Device.Resets == 0 || scene.Device.WasGivenUp, "FAILED was not written");
            Assert.True(scene.Device.Status is 0 or 0x80, $"the device was left at status 0x{scene.Device.Status:X2}");
        }
    }
}
