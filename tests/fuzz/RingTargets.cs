// Fuzzing of the virtqueues: the device writes anything anywhere in the ring, whenever it likes.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fuzz;

/// <summary>A driver that adds and takes, and a device that has the ring's memory and no manners.</summary>
internal static class RingTargets
{
    private const int Tokens = 32;
    private const uint PieceLength = 64;

    /// <summary>One run.</summary>
    public static void Run(byte[] bytes, bool packed)
    {
        FuzzInput input = new(bytes);
        byte first = input.Next8();
        QueueFeatures features = (QueueFeatures)(first & 0b1110) | (packed ? QueueFeatures.Packed : 0);
        int[] sizes = packed ? [1, 2, 3, 8] : [1, 2, 4, 8];
        // Without an IOMMU frames are kept, and with few descriptors taken apart again.
        FakeVirtqueueBackend backend = new((ushort)sizes[first >> 6], features.Bits(), shares: (first & 16) == 0);
        try
        {
            Play(input, backend, packed, takesFull: (first & 32) != 0);
        }
        finally
        {
            backend.End();
        }
    }

    private static void Play(FuzzInput input, FakeVirtqueueBackend backend, bool packed, bool takesFull)
    {
        Dictionary<ushort, uint> lent = [];
        Assert.True(backend.Dma.TryAllocate(Tokens * 4 * PieceLength, 64, out DmaBuffer memory));
        for (uint token = 0; token < backend.Queue.Size; token++)
        {
            backend.Queue.SetFrame(
                (ushort)token, memory.Slice(token * 4 * PieceLength, PieceLength), memory.Slice((token * 4 + 3) * PieceLength, PieceLength));
        }
        for (int step = 0; step < 64 && !input.IsEmpty; step++)
        {
            byte what = input.Next8();
            switch (what & 7)
            {
                case 0 or 1:
                    Add(backend, memory, lent, (ushort)(what >> 3), input.Next8());
                    break;
                case 2:
                    Kick(backend, again: (what & 8) != 0);
                    break;
                case 3:
                    Take(backend, lent, 1 + (what >> 3), takesFull);
                    break;
                case 4 when (what & 8) != 0:
                    backend.Queue.DisableInterrupts();
                    break;
                case 4:
                    backend.Queue.TryEnableInterrupts();
                    break;
                case 5 when what >> 3 == 31:
                    Restart(backend, lent);
                    break;
                case 5 when !packed:
                    WriteUsed(input, backend, what >> 3);
                    break;
                default:
                    Write(input, backend, what >> 3, packed);
                    break;
            }
            Assert.Equal(lent.Count, backend.Queue.InFlight);
            Assert.InRange(backend.Queue.FreeDescriptors, 0, backend.Queue.Size);
        }
        Take(backend, lent, Tokens, takesFull);
        Restart(backend, lent);
        Assert.Equal(backend.Queue.Size, backend.Queue.FreeDescriptors);
        backend.Reset();
        backend.Dma.Free(memory);
        backend.CheckLeftOver();
    }

    private static void Add(FakeVirtqueueBackend backend, DmaBuffer memory, Dictionary<ushort, uint> lent, ushort token, byte shape)
    {
        int readable = shape & 3;
        int writable = shape >> 2 & 3;
        if ((shape & 0xC0) == 0xC0)
        {
            AddFramed(backend, memory, lent, (ushort)(token % backend.Queue.Size), isWritable: (shape & 1) != 0);
            return;
        }
        if (lent.ContainsKey(token) || readable + writable == 0 || readable + writable > backend.Queue.Size || readable + writable > 4)
        {
            return;
        }
        DmaBuffer[] pieces = new DmaBuffer[4];
        for (int i = 0; i < pieces.Length; i++)
        {
            pieces[i] = memory.Slice((token * 4u + (uint)i) * PieceLength, PieceLength);
        }
        if (backend.Queue.TryAdd(pieces.AsSpan(0, readable), pieces.AsSpan(readable, writable), token))
        {
            lent.Add(token, (uint)writable * PieceLength);
        }
    }

    private static void AddFramed(FakeVirtqueueBackend backend, DmaBuffer memory, Dictionary<ushort, uint> lent, ushort token, bool isWritable)
    {
        DmaBuffer payload = memory.Slice((token * 4u + 1) * PieceLength, PieceLength);
        if (!lent.ContainsKey(token) && backend.Queue.MaxPieces >= 3 && backend.Queue.TryAddFramed(token, payload, isWritable))
        {
            lent.Add(token, (isWritable ? 2u : 1) * PieceLength);
        }
    }

    private static void Kick(FakeVirtqueueBackend backend, bool again)
    {
        if (again)
        {
            backend.Queue.KickAgain();
        }
        else
        {
            backend.Queue.Kick();
        }
    }

    private static void Take(FakeVirtqueueBackend backend, Dictionary<ushort, uint> lent, int most, bool takesFull)
    {
        for (int i = 0; i < most && TryTake(backend, lent, takesFull, out ushort token, out uint written); i++)
        {
            Assert.True(lent.Remove(token, out uint room), "a token came back that was not out");
            Assert.True(written <= room, "more was written than was lent");
        }
        Assert.True(!backend.Queue.IsBroken || !backend.Queue.TryTakeUsed(out _, out _), "something was taken from a broken queue");
    }

    /// <summary>As most do, or as a disk does: first what is known to be full.</summary>
    private static bool TryTake(FakeVirtqueueBackend backend, Dictionary<ushort, uint> lent, bool takesFull, out ushort token, out uint written)
    {
        if (takesFull && backend.Queue.LookForUsed() && backend.Queue.TryTakeFull(out uint full))
        {
            token = (ushort)full;
            written = lent.GetValueOrDefault(token);
            return true;
        }
        return backend.Queue.TryTakeUsed(out token, out written);
    }

    private static void Restart(FakeVirtqueueBackend backend, Dictionary<ushort, uint> lent)
    {
        List<ushort> tokens = backend.Restart();
        Assert.Equal(lent.Count, tokens.Count);
        Assert.True(tokens.TrueForAll(lent.ContainsKey), "a token was detached that was not out");
        lent.Clear();
    }

    /// <summary>An entry with the next index, as a device writes them: with an id and a length that may be right.</summary>
    private static void WriteUsed(FuzzInput input, FakeVirtqueueBackend backend, int choice)
    {
        FakeSplitRing ring = backend.Peer.Split;
        uint id = (choice & 16) != 0 ? input.NextInteresting(0) : (uint)(choice % backend.Queue.Size);
        ring.WriteUsedElement(ring.UsedIndex, id, input.NextInteresting(PieceLength));
        ring.WriteUsedIndex((ushort)(ring.UsedIndex + ((choice & 8) != 0 ? input.Next8() : 1)));
    }

    /// <summary>Anything anywhere in the three areas.</summary>
    private static void Write(FuzzInput input, FakeVirtqueueBackend backend, int choice, bool packed)
    {
        FakeVirtqueue peer = backend.Peer;
        FakeDma dma = backend.FakeDma;
        uint size = backend.Queue.Size;
        switch (choice & 3)
        {
            case 0:
                dma.TryDeviceWrite(peer.DescriptorArea + input.Next8() % (16 * size) / 2 * 2, input.NextBytes(2, (uint)choice));
                break;
            case 1 when packed:
                // A whole used descriptor: id, length, and flags of one round or the other.
                ulong at = peer.DescriptorArea + 16 * (input.Next8() % size);
                dma.TryDeviceWrite(at + 8, input.NextBytes(4, PieceLength));
                dma.TryDeviceWrite(at + 12, [(byte)(input.Next8() % (size + 2)), (byte)(choice == 1 ? 1 : 0)]);
                dma.TryDeviceWrite(at + 14, (choice & 4) != 0 ? [0x80, 0x80] : [0, 0]);
                break;
            case 2:
                dma.TryDeviceWrite(peer.DeviceArea + (packed ? 0 : 4 + 8 * size), input.NextBytes(2, (uint)choice));
                dma.TryDeviceWrite(peer.DeviceArea + 2, packed ? input.NextBytes(2, 2) : BitConverter.GetBytes((ushort)(peer.Split.UsedIndex + input.Next8() % 4)));
                break;
            default:
                dma.TryDeviceWrite(peer.DeviceArea + (packed ? 0 : input.Next8() % (8 * size + 6) / 2 * 2), input.NextBytes(2, (uint)choice));
                break;
        }
    }
}
