// One buffer that the driver made available: what the device may read and write.
using VirtioSharp.Tests.Fakes;

namespace VirtioSharp.Tests.Fakes.Virtio;

/// <summary>One piece of a buffer: an element of a descriptor chain.</summary>
public readonly record struct FakePiece(ulong Address, uint Length);

/// <summary>A descriptor chain that the device took. The device looks at bytes and not at how they are split (virtio 2.7.4.1).</summary>
public sealed class FakeChain(FakeDma dma, ushort head, IReadOnlyList<FakePiece> readable, IReadOnlyList<FakePiece> writable)
{
    /// <summary>The index of the first descriptor, which names the chain.</summary>
    public ushort Head => head;

    /// <summary>The pieces that the device reads.</summary>
    public IReadOnlyList<FakePiece> Readable => readable;

    /// <summary>The pieces that the device writes.</summary>
    public IReadOnlyList<FakePiece> Writable => writable;

    /// <summary>How many bytes there are to read.</summary>
    public uint ReadableLength => (uint)readable.Sum(piece => piece.Length);

    /// <summary>How many bytes there is room for.</summary>
    public uint WritableLength => (uint)writable.Sum(piece => piece.Length);

    /// <summary>Reads everything from <paramref name="offset"/> on, at most <paramref name="length"/> bytes.</summary>
    public byte[] Read(uint offset = 0, uint length = uint.MaxValue)
    {
        length = Math.Min(length, ReadableLength - Math.Min(offset, ReadableLength));
        byte[] bytes = new byte[length];
        uint done = 0;
        uint skipped = offset;
        foreach (FakePiece piece in readable)
        {
            uint skip = Math.Min(skipped, piece.Length);
            skipped -= skip;
            uint part = Math.Min(piece.Length - skip, length - done);
            if (part > 0)
            {
                dma.DeviceRead(piece.Address + skip, bytes.AsSpan((int)done, (int)part));
                done += part;
            }
        }
        return bytes;
    }

    /// <summary>Writes at <paramref name="offset"/>; there must be room.</summary>
    public void Write(uint offset, ReadOnlySpan<byte> bytes)
    {
        foreach (FakePiece piece in writable)
        {
            if (bytes.IsEmpty)
            {
                return;
            }
            if (offset >= piece.Length)
            {
                offset -= piece.Length;
                continue;
            }
            int part = (int)Math.Min((uint)bytes.Length, piece.Length - offset);
            dma.DeviceWrite(piece.Address + offset, bytes[..part]);
            bytes = bytes[part..];
            offset = 0;
        }
        if (!bytes.IsEmpty)
        {
            throw new InvalidOperationException("the fake device writes more than there is room for");
        }
    }
}
