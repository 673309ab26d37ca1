// MSI of a fake function: its capability, and what it does with an interrupt.
using VirtioSharp.Drivers.Pci;

namespace VirtioSharp.Tests.Fakes.Pci;

/// <summary>One message of a function (PCI 3.0, 6.8.1), with or without 64-bit addresses and masks.</summary>
public sealed class FakeMsi
{
    private readonly FakePciFunction _function;
    private readonly bool _is64Bit;
    private readonly bool _hasMasks;
    private bool _pending;

    /// <summary>Adds MSI to a function that knows 2 to the power of <paramref name="multiple"/> messages.</summary>
    public FakeMsi(FakePciFunction function, bool is64Bit = true, bool hasMasks = false, int multiple = 2)
    {
        _function = function;
        _is64Bit = is64Bit;
        _hasMasks = hasMasks;
        byte[] body = new byte[8 + (is64Bit ? 4 : 0) + (hasMasks ? 10 : 0)];
        ushort control = (ushort)(multiple << 1 | (is64Bit ? PciRegisters.Msi64Bit : 0) | (hasMasks ? PciRegisters.MsiMasks : 0));
        BitConverter.TryWriteBytes(body, control);
        Capability = function.AddCapability(PciRegisters.CapabilityMsi, body);
        function.Allow(Capability + 2, 2, PciRegisters.MsiEnable | PciRegisters.MsiMultipleEnable);
        function.Allow(Capability + 4, 4, ~3u);
        function.Allow(Capability + 8, 4, is64Bit ? uint.MaxValue : 0xFFFF);
        function.Allow(DataOffset, 2, 0xFFFF);
        if (hasMasks)
        {
            function.Allow(DataOffset + 4, 4, uint.MaxValue);
        }
    }

    /// <summary>Where the capability lies in config space.</summary>
    public ushort Capability { get; }

    /// <summary>True when the driver turned MSI on.</summary>
    public bool IsEnabled => (_function.Get16(Capability + 2) & PciRegisters.MsiEnable) != 0;

    private int DataOffset => Capability + (_is64Bit ? 12 : 8);

    private bool IsMasked => _hasMasks && (_function.Get32(DataOffset + 4) & 1) != 0;

    /// <summary>Sends the first message, or remembers it while masked.</summary>
    public void Raise()
    {
        int multiple = _function.Get16(Capability + 2) >> 4 & 7;
        _function.Machine.Violations.Require(multiple == 0, "more messages were turned on than there are handlers for");
        _pending = IsMasked;
        if (!_pending)
        {
            ulong high = _is64Bit ? _function.Get32(Capability + 8) : 0;
            _function.Machine.DeliverMessage(_function.Get32(Capability + 4) | high << 32, _function.Get16(DataOffset));
        }
    }

    /// <summary>Sends what became possible after the mask was taken away.</summary>
    public void RaisePending()
    {
        if (_pending && IsEnabled && !IsMasked)
        {
            Raise();
        }
    }
}
