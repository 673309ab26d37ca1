// A source of random bytes with its driver, on whatever machine: what the contract of entropy sources is run against.
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Contracts;

/// <summary>A source in service, and the host behind it, which has nothing to give at first.</summary>
public abstract class EntropyBackend : IDisposable
{
    /// <summary>The source.</summary>
    public abstract EntropySource Source { get; }

    /// <summary>The machine's time.</summary>
    public abstract Clock Clock { get; }

    /// <summary>The host has these bytes to give, once and in this order.</summary>
    public abstract void HostGives(ReadOnlySpan<byte> bytes);

    /// <summary>Checks what was left over, then ends the machine.</summary>
    public abstract void Dispose();
}

/// <summary>A request that counts how often it ended.</summary>
public sealed class TestEntropyRequest : EntropyRequest
{
    /// <summary>A request for some bytes; around them there is room that nobody may write to.</summary>
    public TestEntropyRequest(int length)
    {
        Array.Fill(Room, Untouched);
        Prepare(Room, Margin, length);
    }

    private const int Margin = 16;
    private const byte Untouched = 0x5C;

    private byte[] Room { get; } = new byte[20_000 + 2 * Margin];

    /// <summary>How often it ended.</summary>
    public int Completions { get; private set; }

    /// <summary>What to do when it ends.</summary>
    public Action<TestEntropyRequest>? Then { get; init; }

    /// <summary>What came.</summary>
    public byte[] Bytes => Room[Margin..(Margin + Received)];

    /// <summary>What stands where bytes were asked for and none came.</summary>
    public byte[] Rest => Room[(Margin + Received)..(Margin + Length)];

    /// <summary>True when nothing was written beside what was asked for.</summary>
    public bool KeptToItsRoom =>
        !Room.AsSpan(0, Margin).ContainsAnyExcept(Untouched) && !Room.AsSpan(Margin + Length).ContainsAnyExcept(Untouched);

    /// <inheritdoc/>
    protected override void OnCompleted()
    {
        Completions++;
        Then?.Invoke(this);
    }
}
