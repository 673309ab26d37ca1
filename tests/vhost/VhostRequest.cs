// One request to a disk (virtio 5.2.6), as the backend took it from a ring.
using System.Runtime.InteropServices;

namespace VirtioSharp.Tests.Vhost;

/// <summary>What is asked for, and the steps of an answer: data, status byte, used entry. Each may be done, left out, or done wrong.</summary>
internal sealed unsafe class VhostRequest
{
    internal const uint TypeIn = 0;
    internal const uint TypeOut = 1;
    internal const uint TypeFlush = 4;
    internal const uint TypeGetId = 8;
    internal const uint TypeDiscard = 11;
    internal const uint TypeWriteZeroes = 13;
    internal const byte Ok = 0;
    internal const byte Error = 1;
    internal const byte Unsupported = 2;

    private const int HeaderLength = 16;

    private readonly VhostDisk _disk;

    internal VhostRequest(VhostDisk disk, VhostQueue queue, VhostChain chain, int number)
    {
        _disk = disk;
        Queue = queue;
        Chain = chain;
        Number = number;
        Ring = queue.Running;
        ReadableLength = (ulong)chain.Pieces.Where(piece => !piece.IsWritable).Sum(piece => piece.Length);
        WritableLength = (ulong)chain.Pieces.Where(piece => piece.IsWritable).Sum(piece => piece.Length);
        Require(chain.Pieces.SkipWhile(piece => !piece.IsWritable).All(piece => piece.IsWritable), "a readable piece behind a writable one (2.7.4.2)");
        Require(ReadableLength >= HeaderLength && WritableLength >= 1, "a request without header or status");
        byte[] header = ReadReadable(0, HeaderLength);
        Type = MemoryMarshal.Read<uint>(header);
        Sector = MemoryMarshal.Read<ulong>(header.AsSpan(8));
    }

    /// <summary>The queue it came by.</summary>
    internal VhostQueue Queue { get; }

    /// <summary>The ring it was taken from, which may have been stopped since.</summary>
    internal VhostRing Ring { get; }

    /// <summary>Its buffer.</summary>
    internal VhostChain Chain { get; }

    /// <summary>The how manyth request it is, from 1, over all queues, and counted on after resets.</summary>
    internal int Number { get; }

    /// <summary>Its type.</summary>
    internal uint Type { get; }

    /// <summary>Its first sector.</summary>
    internal ulong Sector { get; }

    /// <summary>How many bytes the driver lent for reading.</summary>
    internal ulong ReadableLength { get; }

    /// <summary>How many bytes the driver lent for writing, with the status byte.</summary>
    internal ulong WritableLength { get; }

    /// <summary>How many bytes of data it has.</summary>
    internal ulong DataLength => Type is TypeIn or TypeGetId ? WritableLength - 1 : ReadableLength - HeaderLength;

    /// <summary>How many bytes an honest device says that it wrote.</summary>
    internal uint HonestLength { get; private set; } = 1;

    /// <summary>Does what is asked for, with the data, and answers with the status.</summary>
    internal byte Execute()
    {
        HonestLength = 1;
        switch (Type)
        {
            case TypeIn when IsInside(DataLength):
                WriteWritable(_disk.Content.AsSpan((int)Sector * 512, (int)DataLength));
                return Ok;
            case TypeOut when IsInside(DataLength) && !_disk.IsReadOnly:
                ReadReadable(HeaderLength, (int)DataLength).CopyTo(_disk.Content, (int)Sector * 512);
                return Ok;
            case TypeFlush:
                _disk.Flushes++;
                return Ok;
            case TypeGetId:
                byte[] id = new byte[DataLength];
                _disk.Id.AsSpan(0, Math.Min(id.Length, _disk.Id.Length)).CopyTo(id);
                WriteWritable(id);
                return Ok;
            case TypeDiscard or TypeWriteZeroes when DataLength == 16:
                return Clear();
            case TypeIn or TypeOut:
                return Error;
            default:
                return Unsupported;
        }
    }

    /// <summary>Writes the status byte, the last one that the driver lent for writing.</summary>
    internal void WriteStatus(byte status)
    {
        VhostPiece last = Chain.Pieces[^1];
        *Ring.Memory.At(last.Address + last.Length - 1, 1, "a status byte") = status;
    }

    /// <summary>Writes data into what was lent for it.</summary>
    internal void WriteWritable(ReadOnlySpan<byte> data)
    {
        HonestLength = (uint)data.Length + 1;
        foreach (VhostPiece piece in Chain.Pieces)
        {
            if (!piece.IsWritable || data.IsEmpty)
            {
                continue;
            }
            int count = (int)Math.Min(piece.Length, (uint)data.Length);
            data[..count].CopyTo(new Span<byte>(Ring.Memory.At(piece.Address, piece.Length, "a buffer"), count));
            data = data[count..];
        }
    }

    private byte Clear()
    {
        byte[] range = ReadReadable(HeaderLength, 16);
        ulong first = MemoryMarshal.Read<ulong>(range);
        uint count = MemoryMarshal.Read<uint>(range.AsSpan(8));
        if (first > (ulong)_disk.Content.Length / 512 || count > (ulong)_disk.Content.Length / 512 - first)
        {
            return Error;
        }
        _disk.Content.AsSpan((int)first * 512, (int)count * 512).Clear();
        return Ok;
    }

    private bool IsInside(ulong length)
    {
        ulong sectors = (ulong)_disk.Content.Length / 512;
        return length % 512 == 0 && Sector <= sectors && length / 512 <= sectors - Sector;
    }

    private byte[] ReadReadable(int from, int count)
    {
        byte[] bytes = new byte[from + count];
        int at = 0;
        foreach (VhostPiece piece in Chain.Pieces)
        {
            if (piece.IsWritable || at == bytes.Length)
            {
                continue;
            }
            int part = (int)Math.Min(piece.Length, (uint)(bytes.Length - at));
            new ReadOnlySpan<byte>(Ring.Memory.At(piece.Address, piece.Length, "a buffer"), part).CopyTo(bytes.AsSpan(at));
            at += part;
        }
        return bytes[from..];
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new VhostViolationException(message);
        }
    }
}
