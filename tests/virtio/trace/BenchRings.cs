// Rings that a test fills by hand, both sides of them (virtio 2.7, 2.8).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Virtio.Trace;

/// <summary>What a descriptor is: a piece for the device to read or to write, a table of others, with one behind it or not.</summary>
[Flags]
internal enum Piece : ushort
{
    Read = 0,
    Next = 1,
    Write = 2,
    Table = 4,
}

/// <summary>A split virtqueue: descriptors, then at 0x200 the driver's area, at 0x400 the device's.</summary>
internal sealed unsafe class BenchSplitRing(DmaBuffer memory, ushort size)
{
    private const uint DriverOffset = 0x200;
    private const uint DeviceOffset = 0x400;

    private ushort _offered;
    private ushort _used;

    internal DmaBuffer Memory => memory;

    internal ulong Descriptors => memory.DeviceAddress;

    internal ulong Driver => memory.DeviceAddress + DriverOffset;

    internal ulong Device => memory.DeviceAddress + DeviceOffset;

    /// <summary>The driver's flags, and its event word.</summary>
    internal ushort Flags
    {
        set => *(ushort*)(memory.Pointer + DriverOffset) = value;
    }

    /// <summary>See <see cref="Flags"/>.</summary>
    internal ushort UsedEvent
    {
        set => *(ushort*)(memory.Pointer + DriverOffset + 4 + 2 * size) = value;
    }

    /// <summary>The device's flags, and its event word.</summary>
    internal ushort DeviceFlags
    {
        set => *(ushort*)(memory.Pointer + DeviceOffset) = value;
    }

    /// <summary>See <see cref="DeviceFlags"/>.</summary>
    internal ushort AvailableEvent
    {
        set => *(ushort*)(memory.Pointer + DeviceOffset + 4 + 8 * size) = value;
    }

    /// <summary>The device's index.</summary>
    internal ushort UsedIndex
    {
        get => *(ushort*)(memory.Pointer + DeviceOffset + 2);
        set => *(ushort*)(memory.Pointer + DeviceOffset + 2) = value;
    }

    internal static uint LengthOf(ushort size) => DeviceOffset + 4 + 8u * size + 2;

    /// <summary>The driver writes a descriptor of the ring.</summary>
    internal void Put(int at, DmaBuffer piece, Piece kind = Piece.Read, ushort next = 0) => Put(memory, at, piece, kind, next);

    /// <summary>Writes a descriptor of a table.</summary>
    internal static void Put(DmaBuffer table, int at, DmaBuffer piece, Piece kind = Piece.Read, ushort next = 0)
    {
        byte* descriptor = table.Pointer + at * 16;
        *(ulong*)descriptor = piece.DeviceAddress;
        *(uint*)(descriptor + 8) = piece.Length;
        *(ushort*)(descriptor + 12) = (ushort)kind;
        *(ushort*)(descriptor + 14) = next;
    }

    /// <summary>The driver makes buffers available.</summary>
    internal void Offer(params ushort[] heads)
    {
        foreach (ushort head in heads)
        {
            *(ushort*)(memory.Pointer + DriverOffset + 4 + _offered++ % size * 2) = head;
        }
        *(ushort*)(memory.Pointer + DriverOffset + 2) = _offered;
    }

    /// <summary>The device uses a buffer.</summary>
    internal void Use(uint id, uint length)
    {
        byte* element = memory.Pointer + DeviceOffset + 4 + _used++ % size * 8;
        *(uint*)element = id;
        *(uint*)(element + 4) = length;
        UsedIndex = _used;
    }

    /// <summary>What the device wrote into an element.</summary>
    internal (uint Id, uint Length) Element(int at)
    {
        byte* element = memory.Pointer + DeviceOffset + 4 + at * 8;
        return (*(uint*)element, *(uint*)(element + 4));
    }
}

/// <summary>A packed virtqueue: descriptors, then at 0x200 the driver's event structure, at 0x300 the device's.</summary>
internal sealed unsafe class BenchPackedRing(DmaBuffer memory, ushort size)
{
    private const uint DriverOffset = 0x200;
    private const uint DeviceOffset = 0x300;
    private const ushort Available = 1 << 7;
    private const ushort Used = 1 << 15;

    internal DmaBuffer Memory => memory;

    internal ulong Descriptors => memory.DeviceAddress;

    internal ulong Driver => memory.DeviceAddress + DriverOffset;

    internal ulong Device => memory.DeviceAddress + DeviceOffset;

    /// <summary>The driver's event structure as one word.</summary>
    internal uint DriverEvent
    {
        set => *(uint*)(memory.Pointer + DriverOffset) = value;
    }

    /// <summary>The device's.</summary>
    internal uint DeviceEvent
    {
        get => *(uint*)(memory.Pointer + DeviceOffset);
        set => *(uint*)(memory.Pointer + DeviceOffset) = value;
    }

    internal static uint LengthOf(ushort size) => Math.Max(DeviceOffset + 4, size * 16u);

    /// <summary>The driver makes a descriptor available, in the first round of the ring or another.</summary>
    internal void Offer(int at, DmaBuffer piece, Piece kind, ushort id, int round = 0)
    {
        Put(at, piece, id, (ushort)((ushort)kind | (round % 2 == 0 ? Available : Used)));
    }

    /// <summary>Writes a descriptor with all its flags.</summary>
    internal void Put(int at, DmaBuffer piece, ushort id, ushort flags) => Put(memory, at % size, piece, id, flags);

    /// <summary>Writes a descriptor of a table.</summary>
    internal static void Put(DmaBuffer table, int at, DmaBuffer piece, ushort id, ushort flags)
    {
        byte* descriptor = table.Pointer + at * 16;
        *(ulong*)descriptor = piece.DeviceAddress;
        *(uint*)(descriptor + 8) = piece.Length;
        *(ushort*)(descriptor + 12) = id;
        *(ushort*)(descriptor + 14) = flags;
    }

    /// <summary>The device uses a buffer whose first descriptor is there.</summary>
    internal void Use(int at, ushort id, uint length, int round = 0) => UseWith(at, id, length, round % 2 == 0 ? Available | Used : 0);

    /// <summary>The same with any flags.</summary>
    internal void UseWith(int at, ushort id, uint length, int flags)
    {
        byte* descriptor = memory.Pointer + at * 16;
        *(uint*)(descriptor + 8) = length;
        *(ushort*)(descriptor + 12) = id;
        *(ushort*)(descriptor + 14) = (ushort)flags;
    }

    /// <summary>What is written in a descriptor.</summary>
    internal (uint Length, ushort Id, ushort Flags) At(int at)
    {
        byte* descriptor = memory.Pointer + at * 16;
        return (*(uint*)(descriptor + 8), *(ushort*)(descriptor + 12), *(ushort*)(descriptor + 14));
    }
}
