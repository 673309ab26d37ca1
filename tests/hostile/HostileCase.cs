// Device misbehaviour as data: one name, one deviation, one expectation, and where it makes sense.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Hostile;

/// <summary>What the drivers have to make of it.</summary>
public enum Outcome
{
    /// <summary>Everything works.</summary>
    Works,

    /// <summary>The scan does not find the function.</summary>
    NotFound,

    /// <summary>No driver takes the function.</summary>
    Ignored,

    /// <summary>The probe fails with a reason; the device is left quiet and nothing leaks.</summary>
    Refused,

    /// <summary>The requests that were hit end with an error; the device stays in service.</summary>
    Fails,

    /// <summary>
    /// The device is given up: everything in flight ends with an error, and nothing more is taken. Where the driver may reset it instead,
    /// everything is repeated and ends well.
    /// </summary>
    Breaks,

    /// <summary>The same, after the deadline; where the driver may reset the device, it is in service afterwards.</summary>
    TimesOut,

    /// <summary>
    /// Some requests were answered, well or not, and the others wait in vain: each ends as <see cref="HostileCase.Endings"/> say, and then as
    /// with <see cref="TimesOut"/>.
    /// </summary>
    Contained,

    /// <summary>The disk is in service and has no sector.</summary>
    Empty,
}

/// <summary>What the deviation is played against.</summary>
public enum Subject
{
    /// <summary>A disk of 256 sectors with one queue.</summary>
    Disk,

    /// <summary>A console with one port.</summary>
    Console,

    /// <summary>A console with room for four ports, of which the second is plugged in and called "good".</summary>
    Ports,

    /// <summary>A source of random bytes.</summary>
    Entropy,
}

/// <summary>One deviation.</summary>
/// <param name="Id">The name in the list of hostile cases, with a letter where one of them has several forms.</param>
/// <param name="Story">What the device does.</param>
/// <param name="Expected">What has to come of it.</param>
/// <param name="Arrange">Makes the device do it.</param>
public sealed record HostileCase(string Id, string Story, Outcome Expected, Action<HostileScene> Arrange)
{
    /// <summary>The requirements of the specification that the case is about, with spaces between.</summary>
    public string Requirements { get; init; } = "";

    /// <summary>What it is played against.</summary>
    public Subject Subject { get; init; }

    /// <summary>The transports that have what the case is about.</summary>
    public Machines Machines { get; init; } = Machines.All;

    /// <summary>The rings that have what the case is about.</summary>
    public Rings Rings { get; init; } = Rings.All;

    /// <summary>The ways to interrupt with which it makes sense.</summary>
    public Ways Ways { get; init; } = Ways.All;

    /// <summary>True when it makes a difference to it whether memory is lent: it is played without an IOMMU as well.</summary>
    public bool IsPlayedBare { get; init; }

    /// <summary>True when it is about lending itself, which there is none of without an IOMMU.</summary>
    public bool IsAboutLending { get; init; }

    /// <summary>
    /// True when it is about rings or interrupts: it is played with every ring and every way to interrupt together. The others are played with
    /// every ring, and with every way to interrupt.
    /// </summary>
    public bool IsAboutRings { get; init; }

    /// <summary>What comes of it behind a legacy interface, if that is something else.</summary>
    public Outcome? OnLegacy { get; init; }

    /// <summary>What else has to be so while the device is in service, after the requests.</summary>
    public Action<HostileScene>? Then { get; init; }

    /// <summary>True when a read may end well with less than the disk has: what the device says cannot be checked.</summary>
    public bool MayOmitData { get; init; }

    /// <summary>True when memory may be given up: the device never came out of reset.</summary>
    public bool MayLeak { get; init; }

    /// <summary>True when a reset does not bring the device back.</summary>
    public bool IsGone { get; init; }

    /// <summary>True when not even the test can put the device back to what it was.</summary>
    public bool IsFinal { get; init; }

    /// <summary>How each request ends when the case is <see cref="Outcome.Contained"/>.</summary>
    public IoStatus[] Endings { get; init; } = [];

    /// <summary>The case in the list that it is a form of.</summary>
    public string Of => Id[..3];

    /// <summary>The places where it is played: those which have everything that it is about.</summary>
    public IEnumerable<Place> Places => Place.All.Where(Fits);

    /// <summary>Endings of which only the first is an answer, and the others are waited for in vain.</summary>
    public static IoStatus[] OnlyTheFirst(IoStatus answer) => [answer, .. Enumerable.Repeat(IoStatus.TimedOut, DiskWork.Requests - 1)];

    /// <summary>What has to come of it at a place.</summary>
    public Outcome ExpectedAt(Place place) => place.IsLegacy ? OnLegacy ?? Expected : Expected;

    /// <summary>True when a place has everything that the case is about.</summary>
    public bool Fits(Place place) => Has(place) && (IsAboutRings || HasUsualRing(place) || place.HasUsualWay);

    private bool Has(Place place) =>
        Machines.HasFlag(place.Machine) && Rings.HasFlag(place.Ring) && Ways.HasFlag(place.Way) &&
        (place.Memory == Memories.Lent || (IsPlayedBare && !IsAboutLending));

    /// <summary>The last ring without IN_ORDER that the case and the transport have: with EVENT_IDX where there is a choice.</summary>
    private bool HasUsualRing(Place place) => !place.IsInOrder && !Place.All.Any(other =>
        other.Machine == place.Machine && other.Memory == place.Memory && other.Ring > place.Ring && !other.IsInOrder && Has(other));

    /// <inheritdoc/>
    public override string ToString() => $"{Id}: {Story}";
}
