// The trace of one device: its registers, and what the driver set up by them.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio.Trace;

public sealed unsafe partial class DeviceTrace
{
    private const uint LegacyPage = 4096;

    private Window[] _windows = new Window[4];
    private int _windowCount;
    private bool _hasVectors;
    private uint _deviceFeatureWord;
    private uint _driverFeatureWord;
    private ushort _queue;
    private ulong _features;
    private QueueSetup[] _setups = new QueueSetup[4];

    private struct Window
    {
        internal WindowKind Kind;
        internal int Bar;
        internal ulong Offset;
        internal ulong Length;
    }

    private struct QueueSetup
    {
        internal uint Size;
        internal ulong Descriptors;
        internal ulong Driver;
        internal ulong Device;
        internal uint Page;
    }

    /// <summary>Finds where a function keeps its structures, by its capabilities (virtio 4.1.4), and says so.</summary>
    /// <returns>Where the capability is by which BARs are reached through config space (4.1.4.9); 0 where there is none.</returns>
    internal byte FindWindows(PciFunction function)
    {
        byte access = 0;
        bool any = false;
        PciCapabilities walk = new(function);
        while (walk.MoveNext())
        {
            if (walk.Id != PciRegisters.CapabilityVendor || !walk.Fits(VirtioPciRegisters.CapabilityLength))
            {
                continue;
            }
            any = true;
            byte type = function.ReadConfig8((ushort)(walk.Offset + VirtioPciRegisters.CapabilityTypeField));
            access = type == VirtioPciRegisters.PciConfiguration && access == 0 ? walk.Offset : access;
            if (type is >= VirtioPciRegisters.CommonConfiguration and <= VirtioPciRegisters.DeviceConfiguration)
            {
                AddWindow(
                    WindowKind.None + type,
                    function.ReadConfig8((ushort)(walk.Offset + VirtioPciRegisters.CapabilityBarField)),
                    function.ReadConfig32((ushort)(walk.Offset + VirtioPciRegisters.CapabilityOffsetField)),
                    function.ReadConfig32((ushort)(walk.Offset + VirtioPciRegisters.CapabilitySizeField)));
            }
        }
        if (access != 0)
        {
            Begin("access ").Hex(access);
            Note("4.1.4.9");
            End();
        }
        if (!any || function.ReadConfig16(PciRegisters.DeviceId) < VirtioPciRegisters.FirstModernId)
        {
            AddWindow(WindowKind.Legacy, 0, 0, LegacyPage);
        }
        return access;
    }

    /// <summary>Says what a part of a BAR shows; the first window that holds an address counts.</summary>
    internal void AddWindow(WindowKind kind, int bar, ulong offset, ulong length)
    {
        if (_windowCount == _windows.Length)
        {
            Array.Resize(ref _windows, _windowCount * 2);
        }
        _windows[_windowCount++] = new Window { Kind = kind, Bar = bar, Offset = offset, Length = length };
        Begin("window ").Add((ulong)kind).Add(" ").Add((ulong)(bar & 7)).Add(" ").Hex(offset).Add(" ").Hex(length);
        Note(kind switch
        {
            WindowKind.Common => "4.1.4.3 common configuration",
            WindowKind.Notify => "4.1.4.4 notifications",
            WindowKind.Isr => "4.1.4.5 ISR status",
            WindowKind.Device => "4.1.4.6 device configuration",
            _ => "4.1.4.10 legacy interface",
        });
        End();
    }

    /// <summary>All registers are those of virtio-mmio, <paramref name="length"/> bytes of them.</summary>
    internal void UseMmio(ulong length)
    {
        _windows[_windowCount++] = new Window { Kind = WindowKind.Mmio, Length = length };
        Begin("registers ").Hex(length);
        Note("4.2.2");
        End();
    }

    /// <summary>Where the configuration lies with the legacy interface depends on it (4.1.4.10).</summary>
    internal void NoteVectors(bool any) => _hasVectors = any;

    /// <summary>The name under which a register appears, with the queue or word that was selected; <paramref name="bar"/> is 0 where there are none.</summary>
    internal TraceRegister Name(TraceText text, int bar, ulong offset)
    {
        ulong within = offset;
        WindowKind kind = WindowKind.None;
        for (int i = 0; i < _windowCount; i++)
        {
            Window window = _windows[i];
            if (window.Bar == bar && offset >= window.Offset && offset - window.Offset < window.Length)
            {
                kind = window.Kind;
                within = offset - window.Offset;
                break;
            }
        }
        TraceRegister register = TraceRegister.At(kind, within, kind == WindowKind.Mmio ? _isOldMmio : _hasVectors);
        text.Add(register.Name);
        switch (register.Kind)
        {
            case RegisterKind.DeviceFeature:
                text.Add("[").Add(_deviceFeatureWord).Add("]");
                break;
            case RegisterKind.DriverFeature:
                text.Add("[").Add(_driverFeatureWord).Add("]");
                break;
            case RegisterKind.Config:
                text.Add("+").Hex(ConfigOffset(kind, within));
                break;
            case RegisterKind.Notify when kind == WindowKind.Notify:
                text.Add("+").Hex(within);
                break;
            case RegisterKind.Other when kind == WindowKind.None || register.Name is "common" or "mmio":
                text.Add(kind == WindowKind.None ? "" : "+");
                text.Hex(within);
                break;
        }
        if (register.IsOfQueue)
        {
            text.Add("[").Add(_queue).Add("]");
        }
        _configOffset = register.Kind == RegisterKind.Config ? ConfigOffset(kind, within) : 0;
        return register;
    }

    private bool _isOldMmio;
    private ulong _configOffset;

    private ulong ConfigOffset(WindowKind kind, ulong within) => kind switch
    {
        WindowKind.Legacy => within - (_hasVectors ? 24u : 20u),
        WindowKind.Mmio => within - MmioRegisters.Config,
        _ => within,
    };

    /// <summary>The driver is about to access a register.</summary>
    internal void BeforeRead()
    {
        if (!_inInterrupt)
        {
            Touch(-1);
        }
    }

    /// <summary>The driver read a register.</summary>
    internal void AfterRead(int bar, ulong offset, uint width, uint value)
    {
        if (_inInterrupt)
        {
            NoteInterruptRead(value);
            return;
        }
        Begin("r").Add(width * 8).Add(" ");
        TraceRegister register = Name(_text, bar, offset);
        AddValue(register, value, isRead: true);
        if (register.Name == "Version")
        {
            _isOldMmio = value == MmioRegisters.LegacyVersion;
        }
        if (register.Kind == RegisterKind.QueueSize)
        {
            Setup(_queue).Size = value;
        }
        EndRead();
        if (register.Name == "MagicValue" && value != MmioRegisters.Magic)
        {
            OnGone();
        }
    }

    /// <summary>The driver is about to write a register.</summary>
    internal void BeforeWrite(int bar, ulong offset, uint width, uint value)
    {
        if (_inInterrupt)
        {
            return; // an acknowledgement of what was read
        }
        Begin("");
        TraceRegister register = Name(_text, bar, offset);
        bool ends = register.Kind == RegisterKind.Status && value == 0;
        Touch(register.Kind == RegisterKind.Notify ? (int)(value & 0xFFFF) : -1);
        if (ends)
        {
            EndQueues();
        }
        else if (register.Kind == RegisterKind.QueueReset && value != 0)
        {
            EndQueue(_queue);
        }
        Begin("w").Add(width * 8).Add(" ");
        Name(_text, bar, offset);
        AddValue(register, value, isRead: false);
        End();
        Follow(register.Kind, value);
    }

    private void AddValue(in TraceRegister register, uint value, bool isRead)
    {
        _text.Add(" = ");
        if (register.IsAddress && (!isRead || (value != 0 && value == Setup(_queue).Page)))
        {
            _text.Add("*"); // another one each time: the line about the queue says where it is
        }
        else
        {
            _text.Hex(value);
        }
        if (register.Kind == RegisterKind.Config)
        {
            Note(_driver is null ? register.Clause : _driver.Clause).Add(" ").Add(_driver is null ? "" : _driver.NameOfField((uint)_configOffset));
            return;
        }
        Note(register.Clause);
        switch (register.Kind)
        {
            case RegisterKind.Status:
                TraceWords.Status(_text, value);
                break;
            case RegisterKind.DeviceFeature:
                TraceWords.Features(_text, _driver, _deviceFeatureWord, value);
                break;
            case RegisterKind.DriverFeature:
                TraceWords.Features(_text, _driver, _driverFeatureWord, value);
                break;
            case RegisterKind.Notify:
                _text.Add(" queue ").Add(value & 0xFFFF);
                break;
        }
    }

    /// <summary>Keeps what later lines depend on.</summary>
    private void Follow(RegisterKind kind, uint value)
    {
        switch (kind)
        {
            case RegisterKind.Status when value == 0:
                _features = 0;
                break;
            case RegisterKind.DeviceFeatureSelect:
                _deviceFeatureWord = value;
                break;
            case RegisterKind.DriverFeatureSelect:
                _driverFeatureWord = value;
                break;
            case RegisterKind.DriverFeature when _driverFeatureWord < 2:
                int shift = (int)_driverFeatureWord * 32;
                _features = _features & ~((ulong)uint.MaxValue << shift) | (ulong)value << shift;
                break;
            case RegisterKind.QueueSelect:
                _queue = (ushort)value;
                break;
            case RegisterKind.QueueSize:
                Setup(_queue).Size = value;
                break;
            case RegisterKind.DescriptorLow:
                SetLow(ref Setup(_queue).Descriptors, value);
                break;
            case RegisterKind.DescriptorHigh:
                SetHigh(ref Setup(_queue).Descriptors, value);
                break;
            case RegisterKind.DriverLow:
                SetLow(ref Setup(_queue).Driver, value);
                break;
            case RegisterKind.DriverHigh:
                SetHigh(ref Setup(_queue).Driver, value);
                break;
            case RegisterKind.DeviceLow:
                SetLow(ref Setup(_queue).Device, value);
                break;
            case RegisterKind.DeviceHigh:
                SetHigh(ref Setup(_queue).Device, value);
                break;
            case RegisterKind.QueueEnable when value != 0:
                BeginQueue(_queue, Setup(_queue));
                break;
            case RegisterKind.PageNumber:
                Setup(_queue).Page = value;
                QueueSetup setup = Setup(_queue);
                setup.Descriptors = (ulong)value * LegacyPage;
                setup.Driver = setup.Descriptors + Queue.SplitLayout.AvailableOffset(setup.Size);
                setup.Device = setup.Descriptors + Queue.SplitLayout.UsedOffset(setup.Size, LegacyPage);
                BeginQueue(_queue, setup);
                break;
        }
    }

    private ref QueueSetup Setup(ushort queue)
    {
        while (queue >= _setups.Length)
        {
            Array.Resize(ref _setups, _setups.Length * 2);
        }
        return ref _setups[queue];
    }

    private static void SetLow(ref ulong address, uint value) => address = address & ~(ulong)uint.MaxValue | value;

    private static void SetHigh(ref ulong address, uint value) => address = address & uint.MaxValue | (ulong)value << 32;
}
