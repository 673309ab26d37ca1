// Memory of a device that its driver may use (virtio 2.10).
namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>A region of shared memory: what it is for is said by its id, by the rules of the device's type.</summary>
public readonly struct SharedMemoryRegion
{
    /// <summary>Describes a region.</summary>
    public SharedMemoryRegion(byte id, ulong address, ulong length)
    {
        Id = id;
        Address = address;
        Length = length;
    }

    /// <summary>The id, unique in its device.</summary>
    public byte Id { get; }

    /// <summary>Where it is on the bus; 0 when nobody assigned an address to the BAR it is in.</summary>
    public ulong Address { get; }

    /// <summary>The length in bytes, at least 1.</summary>
    public ulong Length { get; }
}
