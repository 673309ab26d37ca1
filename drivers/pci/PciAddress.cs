// Where a PCI function is: segment, bus, device, function.
namespace VirtioSharp.Drivers.Pci;

/// <summary>The address of a PCI function: segment 0-65535, bus 0-255, device 0-31, function 0-7.</summary>
public readonly struct PciAddress : IEquatable<PciAddress>
{
    private readonly uint _value;

    /// <summary>Makes an address; the parts must be in range.</summary>
    public PciAddress(ushort segment, byte bus, byte device, byte function)
    {
        Platform.Contract.Require(device < 32 && function < 8, "a PCI device number is below 32, a function number below 8");
        _value = (uint)segment << 16 | (uint)bus << 8 | (uint)device << 3 | function;
    }

    /// <summary>The segment group.</summary>
    public ushort Segment => (ushort)(_value >> 16);

    /// <summary>The bus.</summary>
    public byte Bus => (byte)(_value >> 8);

    /// <summary>The device on the bus.</summary>
    public byte Device => (byte)(_value >> 3 & 31);

    /// <summary>The function of the device.</summary>
    public byte Function => (byte)(_value & 7);

    /// <summary>Bus, device and function as the 16 bits that the hardware uses.</summary>
    public ushort BusDeviceFunction => (ushort)_value;

    /// <inheritdoc/>
    public bool Equals(PciAddress other) => _value == other._value;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is PciAddress other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => (int)_value;
}
