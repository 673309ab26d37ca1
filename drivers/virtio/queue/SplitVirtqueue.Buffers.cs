// The split virtqueue: how a buffer becomes descriptors, and how they are given back (virtio 2.7.4, 2.7.5).
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Queue;

public sealed unsafe partial class SplitVirtqueue
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref Slot SlotAt(ushort descriptor) => ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_slots), descriptor);

    /// <summary>Writes one descriptor of a chain and answers with the next free one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ushort FillDescriptor(ushort descriptor, in DmaBuffer piece, ushort flags)
    {
        ushort next = SlotAt(descriptor).Next;
        SplitDescriptor* target = _descriptors + descriptor;
        target->Address = piece.DeviceAddress;
        target->Length = piece.Length;
        target->FlagsAndNext = flags | (uint)((flags & SplitLayout.DescriptorNext) != 0 ? next : 0) << 16;
        return next;
    }

    private void FillTable(ushort head, ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out uint total)
    {
        uint offset = (uint)head * IndirectPieces * SplitLayout.DescriptorLength;
        SplitDescriptor* table = (SplitDescriptor*)(_indirectMemory.Pointer + offset);
        int count = readable.Length + writable.Length;
        total = 0;
        for (int i = 0; i < count; i++)
        {
            bool write = i >= readable.Length;
            ref readonly DmaBuffer piece = ref write ? ref writable[i - readable.Length] : ref readable[i];
            total += write ? piece.Length : 0;
            uint flags = (write ? SplitLayout.DescriptorWrite : 0u) | (i + 1 < count ? SplitLayout.DescriptorNext | (uint)(i + 1) << 16 : 0u);
            table[i].Address = piece.DeviceAddress;
            table[i].Length = piece.Length;
            table[i].FlagsAndNext = flags;
        }
        SplitDescriptor* target = _descriptors + head;
        target->Address = _indirectMemory.DeviceAddress + offset;
        target->Length = (uint)count * SplitLayout.DescriptorLength;
        target->FlagsAndNext = SplitLayout.DescriptorIndirect;
    }

    /// <summary>Puts the descriptors of a buffer back into the free list and takes its pieces back from the device.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Release(ushort head, ref Slot slot)
    {
        if (_sharing)
        {
            UnsharePieces(head);
        }
        slot.InFlight = false;
        SlotAt(slot.Last).Next = _firstFree;
        _firstFree = head;
        _free += slot.Descriptors;
        _inFlight--;
    }

    private void SharePieces(ushort head, ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, bool table)
    {
        ushort descriptor = head;
        for (int i = 0; i < readable.Length + writable.Length; i++)
        {
            bool write = i >= readable.Length;
            DmaBuffer piece = write ? writable[i - readable.Length] : readable[i];
            _dma.Share(piece, write ? DmaDirection.FromDevice : DmaDirection.ToDevice);
            if (table)
            {
                _indirectPieces[head * IndirectPieces + i] = piece;
            }
            else
            {
                _pieces[descriptor] = piece;
                descriptor = _slots[descriptor].Next;
            }
        }
    }

    private void UnsharePieces(ushort head)
    {
        ref Slot slot = ref _slots[head];
        bool table = slot.Descriptors == 1 && slot.Pieces > 1;
        ushort descriptor = head;
        for (int i = 0; i < slot.Pieces; i++)
        {
            DmaBuffer piece = table ? _indirectPieces[head * IndirectPieces + i] : _pieces[descriptor];
            _dma.Unshare(piece, i >= slot.ReadablePieces ? DmaDirection.FromDevice : DmaDirection.ToDevice);
            descriptor = table ? descriptor : _slots[descriptor].Next;
        }
    }
}
