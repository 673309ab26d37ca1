// MSI: one message, written into config space (PCI 3.0, 6.8.1).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

/// <summary>The message of a function that has MSI and no MSI-X. Of several messages that it may know, the first is used.</summary>
public sealed class MsiCapability
{
    private const int Control = 2;
    private const int AddressLow = 4;
    private const int AddressHigh = 8;

    private readonly PciFunction _function;
    private readonly PciHost _host;
    private readonly byte _capability;
    private readonly bool _is64Bit;
    private readonly bool _hasMasks;
    private MsiMessage _message;
    private bool _attached;

    private MsiCapability(PciFunction function, PciHost host, byte capability, ushort control)
    {
        _function = function;
        _host = host;
        _capability = capability;
        _is64Bit = (control & PciRegisters.Msi64Bit) != 0;
        _hasMasks = (control & PciRegisters.MsiMasks) != 0;
    }

    /// <summary>Finds the capability; false when there is none that lies within config space.</summary>
    public static bool TryFind(PciFunction function, PciHost host, out MsiCapability? msi)
    {
        msi = null;
        if (!PciCapabilities.TryFind(function, PciRegisters.CapabilityMsi, out byte capability) || capability + AddressLow > PciRegisters.CapabilitiesEnd)
        {
            return false;
        }
        ushort control = function.ReadConfig16((ushort)(capability + Control));
        int length = 10 + ((control & PciRegisters.Msi64Bit) != 0 ? 4 : 0) + ((control & PciRegisters.MsiMasks) != 0 ? 10 : 0);
        if (capability + length > PciRegisters.CapabilitiesEnd)
        {
            return false;
        }
        msi = new MsiCapability(function, host, capability, control);
        return true;
    }

    /// <summary>
    /// Writes the message that calls <paramref name="handler"/> and turns MSI on; false when there is no message left, or only one that a
    /// function with 32 address bits can't send.
    /// </summary>
    public bool TryAttach(InterruptHandler handler)
    {
        if (_attached || !_host.TryAllocateMessage(handler, out MsiMessage message))
        {
            return false;
        }
        if (message.Data > ushort.MaxValue || (!_is64Bit && message.Address > uint.MaxValue))
        {
            _host.ReleaseMessage(message);
            return false;
        }
        _function.WriteConfig32((ushort)(_capability + AddressLow), (uint)message.Address);
        if (_is64Bit)
        {
            _function.WriteConfig32((ushort)(_capability + AddressHigh), (uint)(message.Address >> 32));
        }
        ushort data = (ushort)(_capability + (_is64Bit ? 12 : 8));
        _function.WriteConfig16(data, (ushort)message.Data);
        if (_hasMasks)
        {
            // The first vector is open, the others stay masked.
            _function.WriteConfig32((ushort)(data + 4), ~1u);
        }
        _message = message;
        _attached = true;
        SetEnabled(true);
        return true;
    }

    /// <summary>Turns MSI off and gives the message back.</summary>
    public void Release()
    {
        if (_attached)
        {
            SetEnabled(false);
            _host.ReleaseMessage(_message);
            _attached = false;
        }
    }

    private void SetEnabled(bool enabled)
    {
        ushort place = (ushort)(_capability + Control);
        ushort control = (ushort)(_function.ReadConfig16(place) & ~(PciRegisters.MsiEnable | PciRegisters.MsiMultipleEnable));
        _function.WriteConfig16(place, (ushort)(enabled ? control | PciRegisters.MsiEnable : control));
    }
}
