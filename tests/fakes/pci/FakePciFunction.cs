// A PCI function whose config space is built by code.
using VirtioSharp.Drivers.Pci;

namespace VirtioSharp.Tests.Fakes.Pci;

/// <summary>
/// Config space with byte lanes and a mask of the bits that can be written; BARs size themselves by that mask, as in hardware.
/// </summary>
public class FakePciFunction
{
    private const int ConfigLength = 4096;
    private const int Bars = 6;

    private readonly byte[] _config = new byte[ConfigLength];
    private readonly byte[] _writable = new byte[ConfigLength];
    private readonly FakeBar?[] _bars = new FakeBar?[Bars];
    private FakeMachine? _machine;
    private PciAddress _address;
    private ushort _nextCapability = PciRegisters.FirstCapability;
    private ushort _lastLink = PciRegisters.CapabilitiesPointer;

    /// <summary>Makes a function with nothing but ids.</summary>
    public FakePciFunction(ushort vendor, ushort device)
    {
        Set16(PciRegisters.VendorId, vendor);
        Set16(PciRegisters.DeviceId, device);
        Allow(PciRegisters.Command, 2, 0x0547); // ports, memory, bus master, parity, SERR, interrupt disable
        Allow(PciRegisters.InterruptLine, 1, 0xFF);
    }

    /// <summary>The machine it is plugged into.</summary>
    public FakeMachine Machine => _machine ?? throw new InvalidOperationException("the function is not plugged in");

    /// <summary>Where it is: behind a bridge that changes with the bridge's numbers.</summary>
    public PciAddress Address => Behind is null ? _address : new PciAddress(Behind.Address.Segment, Behind.Secondary, _address.Device, _address.Function);

    /// <summary>The bridge it is plugged in behind; null on a bus that has its number from elsewhere.</summary>
    public FakePciBridge? Behind { get; private set; }

    /// <summary>False once it was pulled.</summary>
    public bool IsPresent { get; set; } = true;

    /// <summary>False while its slot gives it no power.</summary>
    public bool IsPowered { get; private set; } = true;

    /// <summary>True when it is there, has power, and so have the bridges in front of it.</summary>
    public bool Answers => IsPresent && IsPowered && (Behind?.Answers ?? true);

    /// <summary>A fault: changes what a config read shows (offset, width, value).</summary>
    public Func<ushort, int, uint, uint>? OnConfigRead { get; set; }

    /// <summary>A fault: swallows a config write by answering true (offset, width, value).</summary>
    public Func<ushort, int, uint, bool>? OnConfigWrite { get; set; }

    /// <summary>True for a function that lies about its layout: what it says are other registers may be BARs whose decoding is on.</summary>
    public bool LiesAboutLayout { get; set; }

    /// <summary>True while the device asks for its pin and the command register lets it.</summary>
    public bool IsPinUp => WantsPin && (Get16(PciRegisters.Command) & PciRegisters.CommandInterruptDisable) == 0;

    /// <summary>True when the function may reach memory, as far as it and the bridges in front of it are concerned.</summary>
    public bool IsBusMaster => (Get16(PciRegisters.Command) & PciRegisters.CommandBusMaster) != 0 && (Behind?.IsBusMaster ?? true);

    /// <summary>True while the device asks for its pin.</summary>
    protected virtual bool WantsPin => false;

    /// <summary>Config space as it is, and which of its bits can be written: for tests that put back what they changed.</summary>
    internal (byte[] Values, byte[] Writable) Image => (_config, _writable);

    /// <summary>Puts 8 bits into config space.</summary>
    public void Set8(int offset, byte value) => _config[offset] = value;

    /// <summary>Puts 16 bits into config space.</summary>
    public void Set16(int offset, ushort value)
    {
        _config[offset] = (byte)value;
        _config[offset + 1] = (byte)(value >> 8);
    }

    /// <summary>Puts 32 bits into config space.</summary>
    public void Set32(int offset, uint value)
    {
        Set16(offset, (ushort)value);
        Set16(offset + 2, (ushort)(value >> 16));
    }

    /// <summary>What is in config space, 8 bits.</summary>
    public byte Get8(int offset) => _config[offset];

    /// <summary>What is in config space, 16 bits.</summary>
    public ushort Get16(int offset) => (ushort)(_config[offset] | _config[offset + 1] << 8);

    /// <summary>What is in config space, 32 bits.</summary>
    public uint Get32(int offset) => Get16(offset) | (uint)Get16(offset + 2) << 16;

    /// <summary>Says which bits can be written.</summary>
    public void Allow(int offset, int width, uint mask)
    {
        for (int i = 0; i < width; i++)
        {
            _writable[offset + i] = (byte)(mask >> (8 * i));
        }
    }

    /// <summary>
    /// Links a capability into the list, at its end or before all others: <paramref name="body"/> is what follows id and next. Says where
    /// it lies.
    /// </summary>
    public ushort AddCapability(byte id, ReadOnlySpan<byte> body, bool isFirst = false)
    {
        ushort offset = _nextCapability;
        Set8(offset, id);
        Set8(offset + 1, isFirst ? Get8(PciRegisters.CapabilitiesPointer) : (byte)0);
        body.CopyTo(_config.AsSpan(offset + 2));
        Set8(isFirst ? PciRegisters.CapabilitiesPointer : _lastLink, (byte)offset);
        _lastLink = isFirst ? _lastLink : (ushort)(offset + 1);
        _nextCapability = (ushort)((offset + 2 + body.Length + 3) & ~3);
        Set16(PciRegisters.Status, (ushort)(Get16(PciRegisters.Status) | PciRegisters.StatusCapabilities));
        return offset;
    }

    /// <summary>Puts a memory BAR in; firmware assigns its address when the function is plugged.</summary>
    public void AddMemoryBar(int index, FakeBar bar, bool is64Bit = false, bool isPrefetchable = false)
    {
        _bars[index] = bar;
        int offset = PciRegisters.Bar0 + 4 * index;
        ulong mask = ~(bar.Length - 1);
        Set32(offset, (is64Bit ? PciRegisters.BarType64Bit : 0) | (isPrefetchable ? PciRegisters.BarPrefetchable : 0));
        Allow(offset, 4, (uint)mask & ~15u);
        if (is64Bit)
        {
            Allow(offset + 4, 4, (uint)(mask >> 32));
        }
    }

    /// <summary>Puts a port BAR in; firmware assigns its address, now if the function is plugged already.</summary>
    public void AddPortBar(int index, FakeBar bar)
    {
        _bars[index] = bar;
        int offset = PciRegisters.Bar0 + 4 * index;
        Set32(offset, PciRegisters.BarPorts);
        Allow(offset, 4, (uint)~(bar.Length - 1) & ~3u);
        if (_machine is not null)
        {
            AssignBar(index, _machine.AssignPorts(bar.Length));
            Set16(PciRegisters.Command, (ushort)(Get16(PciRegisters.Command) | PciRegisters.CommandPorts));
        }
    }

    /// <summary>Assigns an address to a BAR, as firmware does.</summary>
    public void AssignBar(int index, ulong address)
    {
        int offset = PciRegisters.Bar0 + 4 * index;
        uint low = Get32(offset);
        bool isPorts = (low & PciRegisters.BarPorts) != 0;
        Set32(offset, (uint)address & ~(isPorts ? 3u : 15u) | low & (isPorts ? 3u : 15u));
        if (!isPorts && (low & PciRegisters.BarTypeMask) == PciRegisters.BarType64Bit)
        {
            Set32(offset + 4, (uint)(address >> 32));
        }
    }

    /// <summary>Where a BAR lies at the moment.</summary>
    public ulong BarAddress(int index)
    {
        int offset = PciRegisters.Bar0 + 4 * index;
        uint low = Get32(offset);
        if ((low & PciRegisters.BarPorts) != 0)
        {
            return low & ~3u;
        }
        bool is64Bit = (low & PciRegisters.BarTypeMask) == PciRegisters.BarType64Bit && index + 1 < Bars;
        return (is64Bit ? (ulong)Get32(offset + 4) << 32 : 0) | low & ~15u;
    }

    /// <summary>The BAR at an index.</summary>
    public FakeBar? BarAt(int index) => _bars[index];

    /// <summary>Turns the power on or off; without it the function forgets its BARs and what it may do.</summary>
    public void Power(bool isOn)
    {
        if (IsPowered && !isOn)
        {
            OnPowerLost();
        }
        IsPowered = isOn;
    }

    /// <summary>Does the work that is there; true when something was done.</summary>
    public virtual bool Run() => false;

    /// <summary>A config read of the machine; aligned.</summary>
    public uint ReadConfig(ushort offset, int width)
    {
        if (!TryReadConfig(offset, width, out uint value))
        {
            for (int i = 0; i < width; i++)
            {
                value |= (uint)_config[offset + i] << (8 * i);
            }
        }
        return OnConfigRead?.Invoke(offset, width, value) ?? value;
    }

    /// <summary>A config write of the machine; aligned.</summary>
    public void WriteConfig(ushort offset, int width, uint value)
    {
        if (OnConfigWrite?.Invoke(offset, width, value) ?? false)
        {
            return;
        }
        if (TryWriteConfig(offset, width, value))
        {
            return;
        }
        CheckBarWrite(offset, width);
        for (int i = 0; i < width; i++)
        {
            byte mask = _writable[offset + i];
            _config[offset + i] = (byte)(_config[offset + i] & ~mask | (byte)(value >> (8 * i)) & mask);
        }
        OnConfigWritten(offset, width);
    }

    /// <summary>
    /// Called when the function was plugged in. Firmware, where there is one, assigns its BARs in the window of the bridge in front of it, and
    /// turns decoding on.
    /// </summary>
    internal void OnPlugged(FakeMachine machine, PciAddress address, FakePciBridge? behind = null, bool byFirmware = true)
    {
        _machine = machine;
        _address = address;
        Behind = behind;
        ushort decode = 0;
        for (int i = 0; i < Bars && byFirmware; i++)
        {
            if (_bars[i] is not FakeBar bar)
            {
                continue;
            }
            uint low = Get32(PciRegisters.Bar0 + 4 * i);
            bool isPorts = (low & PciRegisters.BarPorts) != 0;
            bool high = (low & PciRegisters.BarTypeMask) == PciRegisters.BarType64Bit;
            ulong memory = isPorts ? 0 : behind?.Take(bar.Length) ?? machine.AssignMemory(bar.Length, high);
            AssignBar(i, isPorts ? machine.AssignPorts(bar.Length) : memory);
            decode |= isPorts ? PciRegisters.CommandPorts : PciRegisters.CommandMemory;
        }
        Set16(PciRegisters.Command, decode);
        OnPlugged(byFirmware);
    }

    /// <summary>True when one of the BARs answers at <paramref name="address"/>.</summary>
    internal bool TryDecode(ulong address, bool isPorts, out FakeBar? found, out ulong offset)
    {
        ushort needed = isPorts ? PciRegisters.CommandPorts : PciRegisters.CommandMemory;
        bool passes = (Get16(PciRegisters.Command) & needed) != 0 && (Behind?.PassesAddress(address, isPorts) ?? true);
        for (int i = 0; i < Bars && passes; i++)
        {
            bool barIsPorts = (Get32(PciRegisters.Bar0 + 4 * i) & PciRegisters.BarPorts) != 0;
            if (_bars[i] is FakeBar bar && barIsPorts == isPorts && address >= BarAddress(i) && address - BarAddress(i) < bar.Length)
            {
                found = bar;
                offset = address - BarAddress(i);
                return true;
            }
        }
        found = null;
        offset = 0;
        return false;
    }

    /// <summary>Called when the function was plugged in, after its BARs.</summary>
    protected virtual void OnPlugged(bool byFirmware)
    {
    }

    /// <summary>Called when the power is gone.</summary>
    protected virtual void OnPowerLost()
    {
        Set16(PciRegisters.Command, 0);
        for (int i = 0; i < Bars; i++)
        {
            if (_bars[i] is not null)
            {
                AssignBar(i, 0);
            }
        }
    }

    /// <summary>Reads a part of config space that is no memory; false for the others.</summary>
    protected virtual bool TryReadConfig(ushort offset, int width, out uint value)
    {
        value = 0;
        return false;
    }

    /// <summary>Writes a part of config space that is no memory; false for the others.</summary>
    protected virtual bool TryWriteConfig(ushort offset, int width, uint value) => false;

    /// <summary>Called after a config write.</summary>
    protected virtual void OnConfigWritten(ushort offset, int width)
    {
        if (offset <= PciRegisters.Command + 1 && offset + width > PciRegisters.Command && IsPinUp)
        {
            Machine.DeliverPin(this);
        }
    }

    private void CheckBarWrite(ushort offset, int width)
    {
        for (int i = 0; i < Bars && !LiesAboutLayout; i++)
        {
            int place = PciRegisters.Bar0 + 4 * i;
            if (_bars[i] is null || offset + width <= place || offset >= place + 4)
            {
                continue;
            }
            bool isPorts = (Get32(place) & PciRegisters.BarPorts) != 0;
            ushort decode = isPorts ? PciRegisters.CommandPorts : PciRegisters.CommandMemory;
            Machine.Violations.Require((Get16(PciRegisters.Command) & decode) == 0, "a BAR was written while its decoding is on");
        }
    }
}
