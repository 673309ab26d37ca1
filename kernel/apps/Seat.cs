// Where a shell reads and writes: the serial line or a virtio console.
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Where a shell reads and writes.</summary>
public sealed class Seat
{
    /// <summary>Puts input and output together.</summary>
    public Seat(ByteSource input, Terminal output)
    {
        Input = input;
        Output = output;
    }

    /// <summary>What the person types.</summary>
    public ByteSource Input { get; }

    /// <summary>What the person sees.</summary>
    public Terminal Output { get; }
}
