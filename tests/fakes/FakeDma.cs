// Memory of the fake machine: devices see other addresses than drivers, and only what was lent, in the direction it was lent.
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using VirtioSharp.Drivers.Platform;
using Xunit;

namespace VirtioSharp.Tests.Fakes;

/// <summary>
/// A <see cref="DmaSpace"/> that is stricter than any IOMMU. It finds: addresses mixed up with pointers, accesses of the device outside
/// of what was lent or in the wrong direction, changes by the driver while the device owns the bytes, writes past the end of an
/// allocation or to what was freed, memory freed while lent, unpaired unsharing, and leaks.
/// </summary>
public sealed unsafe class FakeDma(ViolationLog violations) : DmaSpace, IDisposable
{
    /// <summary>The lowest address that a device sees memory at: above 4 GiB, so that a truncated address fails.</summary>
    public const ulong FirstAddress = 0x10_0000_0000;

    private const int GuardLength = 64;
    private const byte GuardByte = 0xA5;
    private const byte FreedByte = 0xDD;
    private const ulong Gap = 4096;
    private const ulong MostFreed = 32 << 20;

    private readonly List<Allocation> _allocations = [];
    private readonly Dictionary<ulong, List<Lent>> _lent = []; // by the pages that a range touches
    private readonly Queue<Allocation> _freed = []; // kept for a while, so that a late access is seen
    private ulong _freedBytes;
    private ulong _next = FirstAddress;
    private int _failIn;

    /// <summary>How many allocations were asked for.</summary>
    public int AllocationCount { get; private set; }

    /// <summary>How many bytes are allocated at the moment.</summary>
    public ulong AllocatedBytes { get; private set; }

    /// <summary>How many ranges are lent to devices at the moment.</summary>
    public int LentCount { get; private set; }

    /// <summary>How often a device that lies reached for memory that is not lent, and got nothing.</summary>
    public int BlockedAccesses { get; private set; }

    /// <summary>Devices are asked whether they may still use memory that is being freed (address, length).</summary>
    public List<Func<ulong, uint, bool>> Users { get; } = [];

    /// <summary>
    /// False for a machine without an IOMMU, where nothing needs to be lent: devices reach whatever is allocated. What is found then is only what
    /// lies outside of that.
    /// </summary>
    public bool Shares { get; set; } = true;

    /// <inheritdoc/>
    public override bool NeedsSharing => Shares;

    /// <summary>Called when something was lent: a device may look at any moment.</summary>
    public Action? AfterShare { get; set; }

    /// <summary>Called when something was taken back: a device may still change what else is lent to it.</summary>
    public Action? AfterUnshare { get; set; }

    /// <summary>Devices see what is allocated from now on at <paramref name="address"/> and above; it must be above what was allocated.</summary>
    public void Skip(ulong address) => _next = Math.Max(_next, address);

    /// <summary>Lets the <paramref name="count"/>-th allocation from now on fail, counted from 1; 0 for none.</summary>
    public void FailAllocation(int count) => _failIn = count;

    /// <inheritdoc/>
    public override bool TryAllocate(uint length, uint alignment, out DmaBuffer buffer)
    {
        violations.Require(length > 0, "an allocation of no bytes");
        violations.Require(alignment > 0 && (alignment & (alignment - 1)) == 0, "an alignment that is no power of two");
        AllocationCount++;
        if (_failIn > 0 && --_failIn == 0)
        {
            buffer = default;
            return false;
        }
        nuint total = length + alignment + 2 * GuardLength;
        byte* memory = (byte*)NativeMemory.Alloc(total);
        new Span<byte>(memory, (int)total).Fill(GuardByte);
        byte* pointer = (byte*)(((nuint)memory + GuardLength + alignment - 1) & ~(nuint)(alignment - 1));
        new Span<byte>(pointer, (int)length).Clear();
        ulong address = (_next + alignment - 1) & ~((ulong)alignment - 1);
        _next = address + length + Gap;
        _allocations.Add(new Allocation { Memory = memory, Pointer = pointer, Address = address, Length = length });
        AllocatedBytes += length;
        buffer = new DmaBuffer(pointer, address, length);
        return true;
    }

    /// <inheritdoc/>
    public override void Free(in DmaBuffer buffer)
    {
        Allocation allocation = Find(buffer, "freed");
        violations.Require(buffer.DeviceAddress == allocation.Address && buffer.Length == allocation.Length, "a part of an allocation was freed");
        violations.Require(!IsAnyLent(buffer.DeviceAddress, buffer.Length, besidesReading: false), "memory was freed while a device owns it");
        foreach (Func<ulong, uint, bool> uses in Users)
        {
            violations.Require(!uses(buffer.DeviceAddress, buffer.Length), "a ring was freed while its queue is enabled");
        }
        violations.Require(allocation.HasItsGuards, "the driver wrote outside of an allocation");
        new Span<byte>(allocation.Pointer, (int)allocation.Length).Fill(FreedByte);
        allocation.IsFree = true;
        AllocatedBytes -= allocation.Length;
        _freed.Enqueue(allocation);
        _freedBytes += allocation.Length;
        while (_freedBytes > MostFreed)
        {
            Allocation old = _freed.Dequeue();
            _freedBytes -= old.Length;
            GiveBack(old);
        }
    }

    /// <inheritdoc/>
    public override void Share(in DmaBuffer buffer, DmaDirection direction)
    {
        Find(buffer, "shared");
        if (!Shares)
        {
            return;
        }
        bool isReading = direction == DmaDirection.ToDevice;
        violations.Require(!IsAnyLent(buffer.DeviceAddress, buffer.Length, isReading), "memory was lent twice, once for writing");
        Lent added = new()
        {
            Address = buffer.DeviceAddress,
            Length = buffer.Length,
            Direction = direction,
            Content = direction == DmaDirection.Both ? null : buffer.Span.ToArray(),
        };
        LentCount++;
        for (ulong page = FirstPage(buffer.DeviceAddress); page <= LastPage(buffer.DeviceAddress, buffer.Length); page++)
        {
            if (!_lent.TryGetValue(page, out List<Lent>? here))
            {
                _lent.Add(page, here = []);
            }
            here.Add(added);
        }
        AfterShare?.Invoke();
    }

    /// <inheritdoc/>
    public override void Unshare(in DmaBuffer buffer, DmaDirection direction)
    {
        Find(buffer, "unshared");
        if (!Shares)
        {
            return;
        }
        (ulong address, uint length) = (buffer.DeviceAddress, buffer.Length);
        Lent? found = null;
        if (_lent.TryGetValue(FirstPage(address), out List<Lent>? first))
        {
            found = first.Find(lent => lent.Address == address && lent.Length == length && lent.Direction == direction);
        }
        violations.Require(found is not null, "memory was unshared that was not lent so");
        violations.Require(
            found.Content is null || buffer.Span.SequenceEqual(found.Content), "the driver changed bytes that the device owned");
        LentCount--;
        for (ulong page = FirstPage(address); page <= LastPage(address, length); page++)
        {
            _lent[page].Remove(found);
        }
        AfterUnshare?.Invoke();
    }

    /// <summary>True when the device may reach all of the range in that direction.</summary>
    public bool IsLent(ulong address, uint length, bool forWriting) =>
        Shares ? FindLent(address, length, forWriting) is not null : FindAllocation(address, length) is { IsFree: false };

    /// <summary>The device reads; what it was not lent is a fault of the driver that gave it the address.</summary>
    public void DeviceRead(ulong address, Span<byte> into)
    {
        if (!IsLent(address, (uint)into.Length, forWriting: false))
        {
            violations.Break($"the device was told to read {into.Length} bytes at 0x{address:X}, which were not lent for reading");
        }
        Raw(address, into.Length).CopyTo(into);
    }

    /// <summary>The device writes; what it was not lent is a fault of the driver that gave it the address.</summary>
    public void DeviceWrite(ulong address, ReadOnlySpan<byte> bytes)
    {
        if (!TryDeviceWrite(address, bytes))
        {
            violations.Break($"the device was told to write {bytes.Length} bytes at 0x{address:X}, which were not lent for writing");
        }
    }

    /// <summary>A device that lies writes; outside of what it was lent nothing happens, as behind an IOMMU.</summary>
    public bool TryDeviceWrite(ulong address, ReadOnlySpan<byte> bytes)
    {
        if (!IsLent(address, (uint)bytes.Length, forWriting: true))
        {
            BlockedAccesses++;
            return false;
        }
        bytes.CopyTo(Raw(address, bytes.Length));
        if (Shares && FindLent(address, (uint)bytes.Length, forWriting: true) is { Content: not null } lent)
        {
            bytes.CopyTo(lent.Content.AsSpan((int)(address - lent.Address)));
        }
        return true;
    }

    /// <summary>The device reads 16 bits.</summary>
    public ushort DeviceRead16(ulong address)
    {
        Span<byte> bytes = stackalloc byte[2];
        DeviceRead(address, bytes);
        return BinaryPrimitives.ReadUInt16LittleEndian(bytes);
    }

    /// <summary>The device writes 16 bits.</summary>
    public void DeviceWrite16(ulong address, ushort value)
    {
        Span<byte> bytes = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, value);
        DeviceWrite(address, bytes);
    }

    /// <summary>Looks at, or changes, memory behind everybody's back: for tests only.</summary>
    public Span<byte> Raw(ulong address, int length)
    {
        Allocation? allocation = FindAllocation(address, (uint)length);
        violations.Require(allocation is not null && allocation.Memory != null, $"0x{address:X} is no memory of this machine");
        return new Span<byte>(allocation.Pointer + (address - allocation.Address), length);
    }

    /// <summary>Fails when something is still allocated or lent.</summary>
    public void AssertNothingLeaked()
    {
        Assert.True(LentCount == 0, $"{LentCount} ranges are still lent to a device");
        int live = 0;
        foreach (Allocation allocation in _allocations)
        {
            live += allocation.IsFree ? 0 : 1;
        }
        Assert.True(live == 0, $"{live} allocations with {AllocatedBytes} bytes were not freed");
    }

    /// <summary>Gives the memory back to the process; what was written to after it was freed is a broken rule.</summary>
    public void Dispose()
    {
        foreach (Allocation allocation in _allocations)
        {
            GiveBack(allocation);
        }
        _allocations.Clear();
        _lent.Clear();
    }

    private void GiveBack(Allocation allocation)
    {
        if (allocation.Memory == null)
        {
            return;
        }
        if (allocation.IsFree && new Span<byte>(allocation.Pointer, (int)allocation.Length).ContainsAnyExcept(FreedByte))
        {
            violations.Note($"memory of {allocation.Length} bytes at 0x{allocation.Address:X} was written to after it was freed");
        }
        if (!allocation.HasItsGuards)
        {
            violations.Note($"the driver wrote outside of an allocation of {allocation.Length} bytes at 0x{allocation.Address:X}");
        }
        NativeMemory.Free(allocation.Memory);
        allocation.Memory = null;
    }

    private Allocation Find(in DmaBuffer buffer, string what)
    {
        Allocation? allocation = FindAllocation(buffer.DeviceAddress, buffer.Length);
        violations.Require(allocation is not null, $"memory was {what} that was never allocated");
        violations.Require(!allocation.IsFree, $"memory was {what} after it was freed");
        violations.Require(
            buffer.Pointer == allocation.Pointer + (buffer.DeviceAddress - allocation.Address),
            $"a buffer was {what} whose pointer and device address do not belong together");
        return allocation;
    }

    private Allocation? FindAllocation(ulong address, uint length)
    {
        int low = 0;
        int high = _allocations.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            Allocation allocation = _allocations[middle];
            if (address < allocation.Address)
            {
                high = middle - 1;
            }
            else if (address - allocation.Address >= allocation.Length)
            {
                low = middle + 1;
            }
            else
            {
                return length <= allocation.Length - (address - allocation.Address) ? allocation : null;
            }
        }
        return null;
    }

    private static ulong FirstPage(ulong address) => address / Gap;

    private static ulong LastPage(ulong address, uint length) => (address + length - 1) / Gap;

    /// <summary>True when a part of the range is lent; <paramref name="besidesReading"/>: in another way than for reading.</summary>
    private bool IsAnyLent(ulong address, uint length, bool besidesReading)
    {
        for (ulong page = FirstPage(address); page <= LastPage(address, length); page++)
        {
            if (!_lent.TryGetValue(page, out List<Lent>? here))
            {
                continue;
            }
            foreach (Lent lent in here)
            {
                if (lent.Overlaps(address, length) && !(besidesReading && lent.Direction == DmaDirection.ToDevice))
                {
                    return true;
                }
            }
        }
        return false;
    }

    private Lent? FindLent(ulong address, uint length, bool forWriting)
    {
        if (!_lent.TryGetValue(FirstPage(address), out List<Lent>? here))
        {
            return null;
        }
        foreach (Lent lent in here)
        {
            bool allowed = lent.Direction == DmaDirection.Both || (lent.Direction == DmaDirection.FromDevice) == forWriting;
            if (allowed && address >= lent.Address && address - lent.Address <= lent.Length && length <= lent.Length - (address - lent.Address))
            {
                return lent;
            }
        }
        return null;
    }

    private sealed class Allocation
    {
        public byte* Memory;
        public byte* Pointer;
        public ulong Address;
        public uint Length;
        public bool IsFree;

        public bool HasItsGuards =>
            !new Span<byte>(Pointer - GuardLength, GuardLength).ContainsAnyExcept(GuardByte) &&
            !new Span<byte>(Pointer + Length, GuardLength).ContainsAnyExcept(GuardByte);
    }

    private sealed class Lent
    {
        public ulong Address;
        public uint Length;
        public DmaDirection Direction;
        public byte[]? Content;

        public bool Overlaps(ulong address, uint length) => address < Address + Length && Address < address + length;
    }
}
