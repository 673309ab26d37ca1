// Randomness for the whole kernel: the generator, what seeds it, and what Random and RandomNumberGenerator take from it.
using System.Threading.Tasks;
using Internal.Runtime;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Entropy;

/// <summary>
/// Seeded by the processor where it can do that, when somebody asks for the first time and at the latest when the machine has its first moment
/// of rest, and by entropy devices when they come. Filling allocates nothing and asks no device.
/// </summary>
internal sealed class KernelRandom : RandomSource
{
    private const ulong LookInterval = 1_000_000;

    private readonly RandomGenerator _generator = new();
    private readonly ProcessorRandom _processor = new();
    private EntropyFeeder? _feeder;
    private bool _wasProcessorAsked;

    private KernelRandom()
    {
    }

    /// <summary>Makes the generator, and lets the corelib have it.</summary>
    internal static KernelRandom Begin()
    {
        KernelRandom random = new();
        Current = random;
        return random;
    }

    /// <inheritdoc/>
    public override bool IsSeeded
    {
        get
        {
            SeedFirst();
            return _generator.IsSeeded;
        }
    }

    /// <inheritdoc/>
    public override void Fill(Span<byte> bytes)
    {
        SeedFirst();
        _generator.Fill(bytes);
    }

    /// <summary>True when there is something that could seed it.</summary>
    internal bool HasSource => _processor.IsThere || (_feeder is not null && _feeder.HasSource);

    /// <summary>Takes seeds from the entropy devices of a table from here on, as they come and go.</summary>
    internal void FeedFrom(DeviceTable devices, Clock clock)
    {
        _feeder = new EntropyFeeder(_generator, devices, clock) { OnRound = SeedAgain };
        devices.Add(_feeder);
    }

    /// <summary>Waits until the generator is seeded, for <paramref name="nanoseconds"/> at most and as long as anything could do it; false when it is not.</summary>
    internal async ValueTask<bool> WhenSeededAsync(RunLoop loop, ulong nanoseconds)
    {
        for (ulong waited = 0; !IsSeeded && HasSource && waited < nanoseconds; waited += LookInterval)
        {
            await loop.After(LookInterval);
        }
        return IsSeeded;
    }

    /// <summary>Says how good the random bytes are, and why.</summary>
    internal void Describe(Terminal output)
    {
        output.Write(IsSeeded ? "seeded: " : "not seeded: ").Write(_generator.CreditedBits).Write(" bits; ")
            .Write(_processor.Seeds).Write(" seeds of the processor (").Write(_processor.Name).Write("), ")
            .Write(_feeder is null ? 0 : _feeder.SeedsFromDevices).Write(" of entropy devices, ")
            .Write(_generator.RejectedSeeds).Write(" not believed\n");
        output.Write("ChaCha20, ").Write(_generator.BytesGiven).Write(" bytes given, ").Write(_generator.BytesSinceSeed).Write(" since the last seed\n");
    }

    private void SeedFirst()
    {
        if (!_wasProcessorAsked)
        {
            SeedAgain();
        }
    }

    private void SeedAgain()
    {
        _wasProcessorAsked = true;
        _processor.Seed(_generator);
    }
}
