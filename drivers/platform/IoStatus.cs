// How a request ended, or why it was not taken.
namespace VirtioSharp.Drivers.Platform;

/// <summary>The outcome of a request. What a submit can answer is a subset of what a completion can say.</summary>
public enum IoStatus
{
    /// <summary>From a submit: taken, and a completion will come, once. From a completion: done.</summary>
    Ok,

    /// <summary>Taken and not completed yet.</summary>
    InFlight,

    /// <summary>No room at the moment; try again after completions came.</summary>
    Busy,

    /// <summary>The range does not lie within the device.</summary>
    OutOfRange,

    /// <summary>A length or address is not a multiple of what the device asks, or a buffer is missing.</summary>
    Misaligned,

    /// <summary>The device can't be written to.</summary>
    ReadOnly,

    /// <summary>The device does not know this request.</summary>
    Unsupported,

    /// <summary>The device reported an error, or broke its promises; what became of the data is unknown.</summary>
    DeviceError,

    /// <summary>No answer came in time.</summary>
    TimedOut,

    /// <summary>The device was removed.</summary>
    Removed,

    /// <summary>It was called off.</summary>
    Cancelled,

    /// <summary>A zone does not take this command, or not in its state.</summary>
    ZoneInvalid,

    /// <summary>A write did not begin at the write pointer of its zone.</summary>
    ZoneUnaligned,

    /// <summary>No more zones can be open.</summary>
    ZoneOpenLimit,

    /// <summary>No more zones can be open or closed.</summary>
    ZoneActiveLimit,
}
