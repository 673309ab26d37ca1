// The one PCI driver for all virtio functions: chooses the transport, then the driver for the type.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>Binds every virtio function (virtio 4.1.2) whose device type the table has a driver for.</summary>
public sealed class VirtioPciDriver : PciDriver
{
    private readonly VirtioDriverTable _drivers;

    /// <summary>Makes a driver that binds with <paramref name="drivers"/>.</summary>
    public VirtioPciDriver(VirtioDriverTable drivers) => _drivers = drivers;

    /// <inheritdoc/>
    public override string Name => "virtio-pci";

    /// <inheritdoc/>
    public override bool Matches(PciFunction function) => TypeOf(function) != 0;

    /// <inheritdoc/>
    public override ProbeResult Probe(PciFunction function, DeviceTable devices)
    {
        ushort type = TypeOf(function);
        VirtioDriver? driver = _drivers.Find(type);
        if (driver is null)
        {
            return ProbeResult.NotMine;
        }
        ProbeResult result = ProbeModern(function, type, driver, out Device? device, out bool mayBeLegacy);
        if (!result.IsBound && mayBeLegacy && IsTransitional(function))
        {
            result = ProbeLegacy(function, type, driver, out device);
        }
        if (result.IsBound)
        {
            devices.Add(device!);
        }
        return result;
    }

    /// <summary>The modern interface; where it can't be used, or the device is too old for it, a transitional one has another (4.1.5.1.1.2).</summary>
    private static ProbeResult ProbeModern(PciFunction function, ushort type, VirtioDriver driver, out Device? device, out bool mayBeLegacy)
    {
        device = null;
        mayBeLegacy = true;
        ProbeResult result = ModernPciTransport.TryCreate(function, type, out ModernPciTransport? transport);
        if (!result.IsBound)
        {
            return result;
        }
        result = driver.Probe(transport!, out device);
        mayBeLegacy = !transport!.OffersVersion1;
        return result;
    }

    private static ProbeResult ProbeLegacy(PciFunction function, ushort type, VirtioDriver driver, out Device? device)
    {
        device = null;
        ProbeResult result = LegacyPciTransport.TryCreate(function, type, out LegacyPciTransport? transport);
        return result.IsBound ? driver.Probe(transport!, out device) : result;
    }

    /// <summary>Lets the function answer and reach memory, whatever its interface; failed with a reason, and quiet, when that does not stick.</summary>
    internal static ProbeResult Enable(PciFunction function)
    {
        if (function.TryEnable())
        {
            return ProbeResult.Bound;
        }
        ushort command = function.ReadConfig16(PciRegisters.Command);
        function.Disable();
        return ProbeResult.Failed("the function does not let itself be enabled", command);
    }

    private static bool IsTransitional(PciFunction function) => function.ReadConfig16(PciRegisters.DeviceId) < VirtioPciRegisters.FirstModernId;

    /// <summary>
    /// The device type: the id less 0x1040 for a modern device, the subsystem id for a transitional one (4.1.2.3); 0 for anything else.
    /// </summary>
    public static ushort TypeOf(PciFunction function)
    {
        byte layout = (byte)(function.ReadConfig8(PciRegisters.HeaderType) & PciRegisters.HeaderLayoutMask);
        if (function.ReadConfig16(PciRegisters.VendorId) != VirtioPciRegisters.VendorId || layout != PciRegisters.HeaderNormal)
        {
            return 0;
        }
        ushort id = function.ReadConfig16(PciRegisters.DeviceId);
        if (id is >= VirtioPciRegisters.FirstModernId and <= VirtioPciRegisters.LastModernId)
        {
            return (ushort)(id - VirtioPciRegisters.FirstModernId);
        }
        bool transitional = id is >= VirtioPciRegisters.FirstTransitionalId and < VirtioPciRegisters.FirstModernId;
        return transitional ? function.ReadConfig16(PciRegisters.SubsystemId) : (ushort)0;
    }
}
