// What a device behind vhost-user does wrong, as data: a name, a deviation, and what the booted kernel has to make of it.
namespace VirtioSharp.Tests.Vhost;

/// <summary>What has to come of it. Whatever it is: no panic, no hang, no data that is wrong and passes for good, all memory back.</summary>
public enum Verdict
{
    /// <summary>Every request ends well, and the device is not reset.</summary>
    Works,

    /// <summary>Every request ends well, after the device was reset.</summary>
    Recovers,

    /// <summary>Requests end with an error; the device is not reset, and others end well.</summary>
    Fails,

    /// <summary>Requests end with an error, and none late; the device is reset, and everything ends well at the end.</summary>
    FailsAndRecovers,

    /// <summary>Requests end after their deadline; the device is reset, and everything ends well at the end.</summary>
    TimesOut,

    /// <summary>As <see cref="TimesOut"/>, and the ring breaks later: a second reset, behind which the flush may be refused (decision 18).</summary>
    TimesOutAndBreaks,

    /// <summary>It goes on like this to the end: requests end with an error or late, and others well, with the device reset in between.</summary>
    Limps,

    /// <summary>The device is given up: nothing ends well at the end.</summary>
    GivenUp,

    /// <summary>The probe fails with a reason: there is no disk.</summary>
    Refused,

    /// <summary>The disk is in service and too small for anything.</summary>
    Empty,

    /// <summary>The device wrote something else and said that it was well: no driver can see that. Nothing but what the device wrote is shown.</summary>
    Deceives,
}

/// <summary>The rings in which a deviation makes sense.</summary>
public enum VhostRings
{
    /// <summary>Both formats.</summary>
    Both,

    /// <summary>The split format only.</summary>
    Split,

    /// <summary>The packed format only.</summary>
    Packed,
}

/// <summary>One deviation.</summary>
/// <param name="Id">The name in the list of hostile cases, with a letter where one of them has several forms.</param>
/// <param name="Story">What the device does.</param>
/// <param name="Expected">What has to come of it, or one of <see cref="Or"/>.</param>
/// <param name="Arrange">Makes the device do it.</param>
internal sealed record VhostCase(string Id, string Story, Verdict Expected, Action<VhostDisk> Arrange)
{
    /// <summary>The rings in which it makes sense.</summary>
    internal VhostRings Rings { get; init; }

    /// <summary>After how many milliseconds the kernel gives a request up. Short only where that is what the case is about.</summary>
    internal int Timeout { get; init; } = 10_000;

    /// <summary>What the kernel has to say; empty for nothing in particular.</summary>
    internal string Says { get; init; } = "";

    /// <summary>How many requests have to end with an error; null for any number that the verdict allows.</summary>
    internal int? Failed { get; init; }

    /// <summary>How many requests the driver has to refuse by itself.</summary>
    internal int? Refused { get; init; }

    /// <summary>How many requests there are in all.</summary>
    internal int Requests { get; init; } = 80;

    /// <summary>True when everything has to end well at the end: the device did it once, and behaves afterwards.</summary>
    internal bool EndsWell { get; init; }

    /// <summary>True when the driver has to cut lengths.</summary>
    internal bool Cuts { get; init; }

    /// <summary>What else can come of it where that depends on the moment.</summary>
    internal Verdict[] Or { get; init; } = [];

    /// <summary>True when writes may be with the device at the moment of its reset: the flush behind it is refused then (decision 18).</summary>
    internal bool MayRefuseFlush { get; init; }

    /// <summary>True when nothing may end late.</summary>
    internal bool IsNeverLate { get; init; }

    /// <summary>How many queues there are.</summary>
    internal int Queues { get; init; } = 1;

    /// <summary>What is added to QEMU's options of the device.</summary>
    internal string Device { get; init; } = "";

    /// <summary>What is added to the kernel's command line.</summary>
    internal string Append { get; init; } = "";

    /// <summary>The machine; the least by default.</summary>
    internal string Machine { get; init; } = "microvm,pcie=on";

    /// <summary>What is added to QEMU's options of the socket.</summary>
    internal string Socket { get; init; } = "";
}
