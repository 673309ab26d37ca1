// The device's side of a virtqueue in memory that a running kernel shares: what both formats have in common.
using System.Runtime.InteropServices;

namespace VirtioSharp.Tests.Vhost;

/// <summary>A piece of a buffer.</summary>
internal readonly record struct VhostPiece(ulong Address, uint Length, bool IsWritable);

/// <summary>A buffer as the device took it: what it is called, its pieces, and of how many descriptors of the ring it consists.</summary>
internal sealed record VhostChain(uint Id, IReadOnlyList<VhostPiece> Pieces, int Descriptors, IReadOnlyList<ushort> Members, VhostPiece Table);

/// <summary>
/// A ring between this process and another processor: each value is read once, and what orders them are real fences. It checks what any
/// device may expect of a driver; <c>tests/fakes</c> has the judge that checks everything.
/// </summary>
internal abstract unsafe class VhostRing(VhostMemory memory, int size, bool hasEventIndex)
{
    /// <summary>The most pieces of a buffer: more is a loop.</summary>
    protected const int MaxPieces = 1024;

    private protected const ushort DescriptorNext = 1;
    private protected const ushort DescriptorWrite = 2;
    private protected const ushort DescriptorIndirect = 4;

    /// <summary>The guest's memory.</summary>
    internal VhostMemory Memory => memory;

    /// <summary>How many descriptors there are.</summary>
    internal int Size => size;

    /// <summary>True when EVENT_IDX was agreed on; a device that does what was not agreed on sets it.</summary>
    internal bool HasEventIndex { get; set; } = hasEventIndex;

    /// <summary>What SET_VRING_BASE and GET_VRING_BASE call the place in the ring.</summary>
    internal abstract uint Base { get; }

    /// <summary>True when there is a buffer to take.</summary>
    internal abstract bool HasAvailable { get; }

    /// <summary>Takes a buffer, or null.</summary>
    internal abstract VhostChain? Take();

    /// <summary>Gives a buffer back, with what the device says that it wrote.</summary>
    internal void Use(VhostChain chain, uint length) => Push(chain.Id, length, chain.Descriptors);

    /// <summary>Writes a used entry and makes it visible; the place of the next one lies <paramref name="descriptors"/> further in a packed ring.</summary>
    internal abstract void Push(uint id, uint length, int descriptors = 1);

    /// <summary>Asks for doorbells.</summary>
    internal abstract void AskForNotifications();

    /// <summary>Says that doorbells are not needed.</summary>
    internal abstract void SuppressNotifications();

    /// <summary>True when the driver wants to be interrupted for what was used since the last call.</summary>
    internal abstract bool WantsSignal();

    /// <summary>Reads the descriptors of an indirect table: linked in split rings, one behind the other in packed ones.</summary>
    private protected void ReadTable(VhostPiece table, bool isLinked, List<VhostPiece> pieces)
    {
        Require(table.Length != 0 && table.Length % 16 == 0, $"an indirect table has {table.Length} bytes");
        int count = (int)table.Length / 16;
        byte* start = memory.At(table.Address, table.Length, "an indirect table");
        int at = 0;
        for (int i = 0; i < count; i++)
        {
            RawDescriptor entry = RawDescriptor.Read(start + 16 * at);
            ushort flags = isLinked ? entry.Third : entry.Fourth;
            Require((flags & DescriptorIndirect) == 0, "an indirect table in an indirect table");
            pieces.Add(new VhostPiece(entry.Address, entry.Length, (flags & DescriptorWrite) != 0));
            if (isLinked && (flags & DescriptorNext) == 0)
            {
                return;
            }
            at = isLinked ? entry.Fourth : at + 1;
            Require(at < count || !isLinked, $"an indirect descriptor points to {at} of {count}");
        }
        Require(!isLinked, "an indirect table loops");
    }

    private protected static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new VhostViolationException(message);
        }
    }

    /// <summary>A descriptor: of a split ring flags and next, of a packed one id and flags.</summary>
    private protected readonly record struct RawDescriptor(ulong Address, uint Length, ushort Third, ushort Fourth)
    {
        internal static RawDescriptor Read(byte* at) =>
            new(*(ulong*)at, *(uint*)(at + 8), *(ushort*)(at + 12), *(ushort*)(at + 14));
    }

    /// <summary>Fills the bytes of the guest at an address with random ones.</summary>
    internal void Scribble(ulong address, int length, Random random) =>
        random.NextBytes(new Span<byte>(memory.At(address, (ulong)length, "what is scribbled over"), length));
}
