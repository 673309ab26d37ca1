// An interrupt that is only noted.
namespace VirtioSharp.Drivers.Platform;

/// <summary>Notes that an interrupt came, for a <see cref="Device.Poll"/> that asks.</summary>
public sealed class NotedInterrupt : InterruptHandler
{
    private bool _noted;

    /// <inheritdoc/>
    public override bool OnInterrupt()
    {
        _noted = true;
        return true;
    }

    /// <summary>True when one came since the last call; clears it.</summary>
    public bool Take()
    {
        if (!_noted)
        {
            return false; // not cleared: an interrupt that comes now is not forgotten
        }
        _noted = false;
        return true;
    }
}
