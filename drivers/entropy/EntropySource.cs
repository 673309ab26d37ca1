// A source of random bytes as applications see it.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Entropy;

/// <summary>
/// Random bytes from outside, as many as are asked for, sooner or later. How good they are only their maker knows: mix them into a generator,
/// and use what comes out of that.
/// </summary>
public abstract class EntropySource : Device
{
    /// <summary>
    /// Takes a request and tells the device. <see cref="IoStatus.Ok"/> promises exactly one completion, from <see cref="Device.Poll"/>; anything
    /// else says why not, and no completion follows.
    /// </summary>
    public abstract IoStatus Submit(EntropyRequest request);
}
