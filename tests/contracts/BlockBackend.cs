// A disk with its driver, on whatever machine: what the contract of block devices is run against.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Contracts;

/// <summary>What disk a test wants. A backend that can't make it so says why in <see cref="BlockBackend.WhyNot"/>.</summary>
/// <param name="Sectors">How large it is.</param>
/// <param name="IsReadOnly">True when it can't be written.</param>
/// <param name="HasFlush">True when it has a cache and can flush it.</param>
/// <param name="Id">Its identification, at most 20 characters.</param>
/// <param name="SegMax">The most pieces of a request, 0 for what the device likes.</param>
/// <param name="SizeMax">The most bytes of a piece, 0 for what the device likes.</param>
public sealed record BlockSetup(
    ulong Sectors = 4096, bool IsReadOnly = false, bool HasFlush = true, string Id = "contract-disk", uint SegMax = 0, uint SizeMax = 0);

/// <summary>A disk in service, and its medium as the host sees it. The medium holds zeroes at first.</summary>
public abstract class BlockBackend : IDisposable
{
    /// <summary>The disk.</summary>
    public abstract BlockDevice Disk { get; }

    /// <summary>The machine's time.</summary>
    public abstract Clock Clock { get; }

    /// <summary>Reads the medium from the host's side.</summary>
    public abstract byte[] ReadMedium(ulong sector, int sectors);

    /// <summary>Writes the medium from the host's side, while the driver does nothing.</summary>
    public abstract void WriteMedium(ulong sector, ReadOnlySpan<byte> bytes);

    /// <summary>Why the disk is not as it was asked for, from what the hardware shows; null when it is.</summary>
    public virtual string? WhyNot => null;

    /// <summary>Keeps requests from being done, so that they are in flight; false when this machine can't.</summary>
    public virtual bool TryHoldBack() => false;

    /// <summary>Ends <see cref="TryHoldBack"/>.</summary>
    public virtual void LetGo()
    {
    }

    /// <summary>Checks what was left over, then ends the machine.</summary>
    public abstract void Dispose();

    /// <summary>Allocates a buffer for the disk; it has to be freed.</summary>
    public DmaBuffer Allocate(uint length) =>
        Disk.Dma.TryAllocate(length, 512, out DmaBuffer buffer) ? buffer : throw new InvalidOperationException("no memory");
}

/// <summary>A request that counts how often it ended.</summary>
public sealed class TestRequest : BlockRequest
{
    /// <summary>How often it ended.</summary>
    public int Completions { get; private set; }

    /// <summary>What to do when it ends.</summary>
    public Action<TestRequest>? Then { get; init; }

    /// <summary>A request prepared with one buffer.</summary>
    public static TestRequest For(BlockOperation operation, ulong sector, in DmaBuffer buffer)
    {
        TestRequest request = new();
        request.Prepare(operation, sector, buffer);
        return request;
    }

    /// <inheritdoc/>
    protected override void OnCompleted()
    {
        Completions++;
        Then?.Invoke(this);
    }
}
