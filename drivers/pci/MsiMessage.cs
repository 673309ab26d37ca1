// What a function writes, and where, to interrupt the machine.
namespace VirtioSharp.Drivers.Pci;

/// <summary>A message-signalled interrupt: writing <see cref="Data"/> to <see cref="Address"/> raises it (PCI 3.0, 6.8).</summary>
public readonly struct MsiMessage
{
    /// <summary>Makes a message.</summary>
    public MsiMessage(ulong address, uint data)
    {
        Address = address;
        Data = data;
    }

    /// <summary>The address to write to, a multiple of 4.</summary>
    public ulong Address { get; }

    /// <summary>The value to write.</summary>
    public uint Data { get; }
}
