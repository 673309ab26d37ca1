// The guest's memory as a vhost-user backend sees it.
using System.IO;
using System.Runtime.InteropServices;

namespace VirtioSharp.Tests.Vhost;

/// <summary>The driver did what no driver may do; the test fails, whatever it is about.</summary>
public sealed class VhostViolationException(string message) : Exception(message);

/// <summary>The regions that QEMU shares. Every address is looked up and checked: what lies in none of them is the driver's mistake.</summary>
internal sealed unsafe class VhostMemory : IDisposable
{
    private readonly List<Region> _regions = [];

    private readonly record struct Region(ulong Guest, ulong Length, ulong User, nint Start, nuint Mapped);

    /// <summary>Maps the regions of a SET_MEM_TABLE message, and closes its files.</summary>
    internal VhostMemory(VhostMessage message)
    {
        int count = (int)MemoryMarshal.Read<uint>(message.Body);
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<ulong> fields = MemoryMarshal.Cast<byte, ulong>(message.Body.AsSpan(8 + 32 * i, 32));
            nuint length = (nuint)(fields[1] + fields[3]);
            byte* start = Native.Map(null, length, Native.ReadWrite, Native.Shared, message.Files[i], 0);
            if ((nint)start == -1)
            {
                throw new IOException("the guest's memory can't be mapped");
            }
            _regions.Add(new Region(fields[0], fields[1], fields[2], (nint)start + (nint)fields[3], length));
            Native.Close(message.Files[i]);
        }
    }

    /// <summary>Where <paramref name="length"/> bytes of the guest are; <paramref name="what"/> names them for the violation.</summary>
    internal byte* At(ulong address, ulong length, string what)
    {
        foreach (Region region in _regions)
        {
            if (address >= region.Guest && length <= region.Length && address - region.Guest <= region.Length - length)
            {
                return (byte*)region.Start + (address - region.Guest);
            }
        }
        throw new VhostViolationException($"{what}: 0x{address:X} with {length} bytes is not in the guest's memory");
    }

    /// <summary>The guest's address of an address in QEMU's own address space, in which QEMU says where rings are.</summary>
    internal ulong GuestOf(ulong user)
    {
        foreach (Region region in _regions)
        {
            if (user >= region.User && user - region.User < region.Length)
            {
                return region.Guest + (user - region.User);
            }
        }
        throw new VhostViolationException($"a ring is at 0x{user:X} of QEMU, which is not in the guest's memory");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Region region in _regions)
        {
            // The file's offset lies in front of the region, and begins a page.
            Native.Unmap((void*)(region.Start - (nint)(region.Mapped - (nuint)region.Length)), region.Mapped);
        }
        _regions.Clear();
    }
}
