// How a probe ended: a value with a reason.
namespace VirtioSharp.Drivers.Platform;

/// <summary>The three ways a probe can end.</summary>
public enum ProbeStatus
{
    /// <summary>The driver drives the device.</summary>
    Bound,

    /// <summary>The device is nothing for this driver; nothing was touched.</summary>
    NotMine,

    /// <summary>The device is for this driver, but can't be driven; it was left reset and quiet.</summary>
    Failed,
}

/// <summary>How a probe, or a step of it, ended.</summary>
public readonly struct ProbeResult
{
    private ProbeResult(ProbeStatus status, string reason, ulong value)
    {
        Status = status;
        Reason = reason;
        Value = value;
    }

    /// <summary>What came of it.</summary>
    public ProbeStatus Status { get; }

    /// <summary>Why, for people; empty when bound.</summary>
    public string Reason { get; }

    /// <summary>The number that belongs to the reason, 0 when there is none.</summary>
    public ulong Value { get; }

    /// <summary>True when the step or the probe succeeded.</summary>
    public bool IsBound => Status == ProbeStatus.Bound;

    /// <summary>Success.</summary>
    public static ProbeResult Bound => new(ProbeStatus.Bound, "", 0);

    /// <summary>The device is somebody else's.</summary>
    public static ProbeResult NotMine => new(ProbeStatus.NotMine, "no driver for this device", 0);

    /// <summary>The device can't be driven, because of <paramref name="reason"/>.</summary>
    public static ProbeResult Failed(string reason, ulong value = 0) => new(ProbeStatus.Failed, reason, value);
}
