// The ways in which a device can interrupt.
namespace VirtioSharp.Drivers.Platform;

/// <summary>How a device tells the machine that something happened.</summary>
public enum InterruptKind
{
    /// <summary>Not at all: it is polled.</summary>
    None,

    /// <summary>By its pin, possibly shared with others.</summary>
    Pin,

    /// <summary>By MSI.</summary>
    Msi,

    /// <summary>By MSI-X, one vector for each source.</summary>
    MsiX,
}
