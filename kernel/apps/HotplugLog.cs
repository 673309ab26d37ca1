// Says what comes and goes.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Lines on the serial line, as at boot.</summary>
internal sealed class HotplugLog : PciHotplugListener
{
    private readonly Terminal _output;
    private readonly DeviceTable _devices;

    internal HotplugLog(Terminal output, DeviceTable devices)
    {
        _output = output;
        _devices = devices;
    }

    /// <inheritdoc/>
    public override void OnArrived(PciFunction function, in ProbeResult result)
    {
        _output.Write("came: ");
        SystemInformation.WriteFunction(_output, function);
        SystemInformation.WriteResult(_output, result, _devices);
    }

    /// <inheritdoc/>
    public override void OnDeparted(PciHotplugSlot slot)
    {
        _output.Write("gone: what was in the slot of ");
        SystemInformation.WriteAddress(_output, slot.Address);
        _output.EndLine();
    }
}
