// Memory for devices on bare metal: physical addresses, an identity map, no IOMMU.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Hands out blocks whose size is a power of two, aligned to their size. The lists of free blocks are kept apart from the blocks, so
/// that a device that writes late can't harm them.
/// </summary>
internal sealed unsafe class BareDmaSpace : DmaSpace
{
    private const int SmallestShift = 6;
    private const int ShiftCount = 26;
    private const ulong PageSize = 4096;

    private readonly PhysicalMemory _memory;
    private readonly ulong[][] _free = new ulong[ShiftCount][];
    private readonly int[] _freeCount = new int[ShiftCount];

    internal BareDmaSpace(PhysicalMemory memory) => _memory = memory;

    /// <summary>Bytes handed out and not given back.</summary>
    internal ulong BytesInUse { get; private set; }

    /// <inheritdoc/>
    public override bool TryAllocate(uint length, uint alignment, out DmaBuffer buffer)
    {
        Contract.Require(length > 0, "DMA memory of no length");
        Contract.Require(alignment > 0 && (alignment & (alignment - 1)) == 0, "DMA memory with an alignment that is no power of two");
        buffer = default;
        int shift = ShiftOf(Math.Max(length, alignment));
        if (shift >= ShiftCount || !TryTakeBlock(shift, out ulong block))
        {
            return false;
        }
        Cpu.Clear((void*)block, 1ul << shift);
        BytesInUse += 1ul << shift;
        buffer = new DmaBuffer((byte*)block, block, length);
        return true;
    }

    /// <inheritdoc/>
    public override void Free(in DmaBuffer buffer)
    {
        ulong block = buffer.DeviceAddress;
        // The block's size is the least power of two that holds the length and that the address is a multiple of, as allocated.
        int shift = _shifts.Find(block);
        Contract.Require(shift != 0, "DMA memory was freed that was not allocated");
        BytesInUse -= 1ul << shift;
        AddFree(shift, block);
    }

    /// <inheritdoc/>
    public override bool NeedsSharing => false;

    /// <inheritdoc/>
    public override void Share(in DmaBuffer buffer, DmaDirection direction)
    {
    }

    /// <inheritdoc/>
    public override void Unshare(in DmaBuffer buffer, DmaDirection direction)
    {
    }

    private readonly BlockSizes _shifts = new();

    private bool TryTakeBlock(int shift, out ulong block)
    {
        block = 0;
        if (_freeCount[shift] > 0)
        {
            block = _free[shift][--_freeCount[shift]];
        }
        else if (1ul << shift >= PageSize)
        {
            if (!_memory.TryTake(1ul << shift, 1ul << shift, out byte* memory))
            {
                return false;
            }
            block = (ulong)memory;
        }
        else
        {
            // A small block: half of one of the next size.
            if (!TryTakeBlock(shift + 1, out block))
            {
                return false;
            }
            AddFree(shift, block + (1ul << shift));
        }
        _shifts.Set(block, shift);
        return true;
    }

    private void AddFree(int shift, ulong block)
    {
        _shifts.Set(block, 0);
        ulong[] list = _free[shift] ?? (_free[shift] = new ulong[16]);
        if (_freeCount[shift] == list.Length)
        {
            Array.Resize(ref list, list.Length * 2);
            _free[shift] = list;
        }
        list[_freeCount[shift]++] = block;
    }

    private static int ShiftOf(ulong length)
    {
        int shift = SmallestShift;
        while (1ul << shift < length)
        {
            shift++;
        }
        return shift;
    }

    /// <summary>Remembers the size of each block in use: open addressing, grown when half full.</summary>
    private sealed class BlockSizes
    {
        private ulong[] _blocks = new ulong[64];
        private byte[] _sizes = new byte[64];
        private int _used;

        internal int Find(ulong block)
        {
            int index = IndexOf(_blocks, block);
            return _blocks[index] == block ? _sizes[index] : 0;
        }

        internal void Set(ulong block, int shift)
        {
            int index = IndexOf(_blocks, block);
            if (_blocks[index] == 0)
            {
                if (++_used * 2 > _blocks.Length)
                {
                    Grow();
                    index = IndexOf(_blocks, block);
                }
                _blocks[index] = block;
            }
            _sizes[index] = (byte)shift;
        }

        private static int IndexOf(ulong[] blocks, ulong block)
        {
            int index = (int)((block >> SmallestShift) * 2654435761 >> 8 & (uint)(blocks.Length - 1));
            while (blocks[index] != 0 && blocks[index] != block)
            {
                index = index + 1 & blocks.Length - 1;
            }
            return index;
        }

        private void Grow()
        {
            ulong[] blocks = new ulong[_blocks.Length * 2];
            byte[] sizes = new byte[blocks.Length];
            for (int i = 0; i < _blocks.Length; i++)
            {
                if (_blocks[i] != 0)
                {
                    int index = IndexOf(blocks, _blocks[i]);
                    blocks[index] = _blocks[i];
                    sizes[index] = _sizes[i];
                }
            }
            _blocks = blocks;
            _sizes = sizes;
        }
    }
}
