// Modern PCI around a fake virtio device: capabilities, common configuration, ISR, notifications, MSI-X (virtio 4.1).
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Fakes.Pci;

namespace VirtioSharp.Tests.Fakes.Virtio;

/// <summary>
/// The PCI function of a virtio device, laid out as QEMU lays it out: registers in a 64-bit BAR 4, MSI-X in BAR 1. Every access with a
/// width or to a register that the specification does not have fails the test.
/// </summary>
public sealed partial class FakeVirtioPciDevice : FakePciFunction
{
    /// <summary>The BAR with the registers.</summary>
    public const int RegisterBar = 4;

    /// <summary>The BAR with the MSI-X table.</summary>
    public const int MsixBar = 1;

    /// <summary>Where the common configuration is in the BAR.</summary>
    public const uint CommonOffset = 0x0000;

    /// <summary>Where the ISR status is.</summary>
    public const uint IsrOffset = 0x1000;

    /// <summary>Where the device configuration is.</summary>
    public const uint ConfigOffset = 0x2000;

    /// <summary>Where the doorbells are.</summary>
    public const uint NotifyOffset = 0x3000;

    private const uint PartLength = 0x1000;
    private const uint CommonLength = 64;
    private const ushort NoVector = 0xFFFF;
    private const byte IsrQueue = 1;
    private const byte IsrConfig = 2;

    private readonly bool _hasPin;
    private uint _featureSelect;
    private uint _driverFeatureSelect;
    private ushort _queueSelect;
    private ushort _configVector = NoVector;
    private byte _isr;

    /// <summary>Makes the function; <paramref name="vectors"/> 0 means no MSI-X.</summary>
    public FakeVirtioPciDevice(FakeVirtioDevice device, ushort vectors = 4, bool hasPin = true, uint notifyMultiplier = 4)
        : base(0x1AF4, (ushort)(0x1040 + device.DeviceType))
    {
        Device = device;
        _hasPin = hasPin;
        NotifyMultiplier = notifyMultiplier;
        device.Bus = new PciBus(this);
        Set8(PciRegisters.RevisionId, 1);
        Set16(PciRegisters.ClassCode, device.DeviceType == 2 ? (ushort)0x0100 : (ushort)0x0780);
        Set16(PciRegisters.SubsystemVendorId, 0x1AF4);
        Set16(PciRegisters.SubsystemId, 0x1100);
        Set8(PciRegisters.InterruptPin, hasPin ? (byte)1 : (byte)0);
        if (vectors > 0)
        {
            Msix = new FakeMsixTable(this, MsixBar, vectors);
        }
        FakePartedBar bar = new(0x4000, () => Machine.Violations);
        bar.Add(new FakeBarPart(CommonOffset, PartLength, ReadCommon, WriteCommon));
        bar.Add(new FakeBarPart(IsrOffset, PartLength, ReadIsr, (_, _, _) => Machine.Violations.Break("ISR status was written")));
        bar.Add(new FakeBarPart(ConfigOffset, PartLength, ReadConfigPart, WriteConfigPart));
        bar.Add(new FakeBarPart(NotifyOffset, PartLength, RefuseRead, Notify));
        AddMemoryBar(RegisterBar, bar, is64Bit: true, isPrefetchable: true);
        CommonCapability = AddVirtioCapability(1, RegisterBar, CommonOffset, CommonLength);
        IsrCapability = AddVirtioCapability(3, RegisterBar, IsrOffset, 1);
        ConfigCapability = device.Config.Length == 0 ? (ushort)0 : AddVirtioCapability(4, RegisterBar, ConfigOffset, (uint)device.Config.Length);
        NotifyCapability = AddVirtioCapability(2, RegisterBar, NotifyOffset, PartLength, BitConverter.GetBytes(notifyMultiplier));
        AccessCapability = AddAccess();
    }

    /// <summary>The device behind the registers.</summary>
    public FakeVirtioDevice Device { get; }

    /// <summary>MSI-X; null when the function has none.</summary>
    public FakeMsixTable? Msix { get; }

    /// <summary>MSI; null when the function has none.</summary>
    public FakeMsi? Msi { get; private set; }

    /// <summary>Gives the function MSI, which tells the same as its pin: why it came stands in the ISR status.</summary>
    public FakeVirtioPciDevice AddMsi(bool is64Bit = true, bool hasMasks = false)
    {
        Msi = new FakeMsi(this, is64Bit, hasMasks);
        return this;
    }

    /// <summary>Where the capability of the common configuration is in config space.</summary>
    public ushort CommonCapability { get; }

    /// <summary>Where the capability of the ISR status is.</summary>
    public ushort IsrCapability { get; }

    /// <summary>Where the capability of the device configuration is; 0 when there is none.</summary>
    public ushort ConfigCapability { get; }

    /// <summary>Where the capability of the doorbells is.</summary>
    public ushort NotifyCapability { get; }

    /// <summary>Where the capability of the access through config space is.</summary>
    public ushort AccessCapability { get; }

    /// <summary>What queue_notify_off is multiplied with.</summary>
    public uint NotifyMultiplier { get; }

    /// <summary>How often the ISR status was read.</summary>
    public int IsrReads { get; private set; }

    /// <summary>The vector of configuration changes.</summary>
    public ushort ConfigVector => _configVector;

    /// <summary>A fault: vectors that the device says it can't map.</summary>
    public Func<ushort, bool>? RefusesVector { get; set; }

    /// <summary>For tests of this device: a vector beyond the table is answered as devices have to answer it, and does not fail the test.</summary>
    public bool IsLenient { get; set; }

    /// <summary>A fault: changes what a read of a common register shows (offset, width, value).</summary>
    public Func<uint, int, uint, uint>? OnReadCommon { get; set; }

    /// <summary>A fault: swallows a write to a common register by answering true (offset, width, value).</summary>
    public Func<uint, int, uint, bool>? OnWriteCommon { get; set; }

    /// <summary>A fault: changes what a read of the ISR status shows.</summary>
    public Func<byte, byte>? OnReadIsr { get; set; }

    /// <inheritdoc/>
    protected override bool WantsPin => _hasPin && _isr != 0 && !(Msix?.IsEnabled ?? false) && !(Msi?.IsEnabled ?? false);

    private FakeVirtqueue? Queue => _queueSelect < Device.Queues.Length ? Device.Queues[_queueSelect] : null;

    /// <summary>Adds one virtio capability (virtio 4.1.4) and says where it is.</summary>
    public ushort AddVirtioCapability(byte type, byte bar, uint offset, uint length, ReadOnlySpan<byte> more = default, bool isFirst = false)
    {
        byte[] body = new byte[14 + more.Length];
        body[0] = (byte)(16 + more.Length);
        body[1] = type;
        body[2] = bar;
        BitConverter.TryWriteBytes(body.AsSpan(6), offset);
        BitConverter.TryWriteBytes(body.AsSpan(10), length);
        more.CopyTo(body.AsSpan(14));
        ushort place = AddCapability(PciRegisters.CapabilityVendor, body, isFirst);
        _structures.Add(place);
        return place;
    }

    /// <inheritdoc/>
    public override bool Run() => Device.Run();

    /// <summary>Sends an interrupt for used buffers whatever the ring says: a device that lies.</summary>
    public void RaiseQueue(ushort vector, byte isr = IsrQueue) => Raise(vector, isr);

    /// <summary>Sends an interrupt for a change of configuration that did not happen.</summary>
    public void RaiseConfig() => Raise(_configVector, IsrConfig);

    /// <inheritdoc/>
    protected override void OnConfigWritten(ushort offset, int width)
    {
        base.OnConfigWritten(offset, width);
        Msix?.RaisePending();
        Msi?.RaisePending();
    }

    private void Raise(ushort vector, byte isr)
    {
        if (Msix is { IsEnabled: true })
        {
            if (vector != NoVector)
            {
                Msix.Raise(vector);
            }
            return;
        }
        bool isNew = _isr == 0;
        _isr |= isr;
        if (Msi is { IsEnabled: true } && isNew)
        {
            // As from a pin that rises: nothing more is sent before the status was read.
            Msi.Raise();
        }
        if (IsPinUp)
        {
            Machine.DeliverPin(this);
        }
    }

    private uint RefuseRead(ulong offset, int width)
    {
        Machine.Violations.Break("a doorbell was read");
        return 0;
    }

    private void Notify(ulong offset, int width, uint value) => Notify(offset, width, value, NotifyMultiplier);

    private void Notify(ulong offset, int width, uint value, uint multiplier)
    {
        bool hasPosition = Device.Has(VirtioFeature.NotificationData);
        int expectedWidth = hasPosition ? 4 : 2;
        Machine.Violations.Require(width == expectedWidth, $"a doorbell was written with {width} bytes instead of {expectedWidth} (4.1.5.2)");
        int queue = (ushort)value;
        if (Device.Has(VirtioFeature.NotifConfigData))
        {
            queue = Array.FindIndex(Device.Queues, each => NotifyDataOf(each.Index) == (ushort)value);
            Machine.Violations.Require(queue >= 0, $"0x{(ushort)value:X} was written to a doorbell, which is no queue_notif_config_data (4.1.5.2.1)");
        }
        ulong expected = (ulong)queue * multiplier;
        Machine.Violations.Require(offset == expected, $"queue {queue} was notified at offset {offset} instead of {expected} (4.1.4.4)");
        Device.Notify((ushort)queue, hasPosition ? (ushort)(value >> 16) : null);
    }

    private uint ReadIsr(ulong offset, int width)
    {
        Machine.Violations.Require(offset == 0 && width == 1, "ISR status is one byte (4.1.4.5)");
        IsrReads++;
        byte value = _isr;
        _isr = 0;
        return OnReadIsr?.Invoke(value) ?? value;
    }

    private uint ReadConfigPart(ulong offset, int width) => Device.ReadConfig((int)offset, width);

    private void WriteConfigPart(ulong offset, int width, uint value)
    {
        Machine.Violations.Require(
            (Device.Status & DeviceStatus.FeaturesOk) != 0 || Device.IsWritableEarly((int)offset),
            "device configuration was written before FEATURES_OK (2.5)");
        Device.WriteConfig((int)offset, width, value);
    }

    private uint ReadCommon(ulong offset, int width)
    {
        RequireCommon(offset, width);
        uint value = offset switch
        {
            0 => _featureSelect,
            4 => _featureSelect < 2 ? (uint)(Device.ReadFeatures() >> (int)(32 * _featureSelect)) : 0,
            8 => _driverFeatureSelect,
            12 => _driverFeatureSelect < 2 ? (uint)(Device.DriverFeatures >> (int)(32 * _driverFeatureSelect)) : 0,
            16 => _configVector,
            18 => (uint)Device.Queues.Length,
            20 => Device.ReadStatus(),
            21 => Device.ReadGeneration(),
            22 => _queueSelect,
            24 => Queue?.Size ?? 0u,
            26 => Queue?.Vector ?? NoVector,
            28 => Queue is { IsEnabled: true } ? 1u : 0,
            30 => _queueSelect,
            32 => (uint)(Queue?.DescriptorArea ?? 0),
            36 => (uint)((Queue?.DescriptorArea ?? 0) >> 32),
            40 => (uint)(Queue?.DriverArea ?? 0),
            44 => (uint)((Queue?.DriverArea ?? 0) >> 32),
            48 => (uint)(Queue?.DeviceArea ?? 0),
            52 => (uint)((Queue?.DeviceArea ?? 0) >> 32),
            56 => NotifyDataOf(_queueSelect),
            58 => Queue?.ReadReset() ?? false ? 1u : 0,
            _ => 0,
        };
        return OnReadCommon?.Invoke((uint)offset, width, value) ?? value;
    }

    private void WriteCommon(ulong offset, int width, uint value)
    {
        RequireCommon(offset, width);
        if (OnWriteCommon?.Invoke((uint)offset, width, value) ?? false)
        {
            return;
        }
        switch (offset)
        {
            case 0:
                _featureSelect = value;
                break;
            case 8:
                _driverFeatureSelect = value;
                break;
            case 12:
                Device.WriteDriverFeatures((int)_driverFeatureSelect, value);
                break;
            case 16:
                _configVector = Map(value);
                break;
            case 20:
                Device.WriteStatus((byte)value);
                break;
            case 22:
                _queueSelect = (ushort)value;
                break;
            case 58:
                ResetQueue(value);
                break;
            case >= 24 and not 30 and < 56:
                WriteQueue((uint)offset, value);
                break;
            default:
                Machine.Violations.Break($"common register {offset} was written, which is read-only (4.1.4.3)");
                break;
        }
    }

    private void WriteQueue(uint offset, uint value)
    {
        FakeVirtqueue? queue = Queue;
        Machine.Violations.Require(queue is not null, $"queue {_queueSelect} was set up, which does not exist");
        Machine.Violations.Require((Device.Status & DeviceStatus.FeaturesOk) != 0, "a queue was set up before FEATURES_OK (3.1.1)");
        Machine.Violations.Require(!queue.IsResetting, $"register {offset} of a queue was written before its reset was seen to end (4.1.4.3.2)");
        Machine.Violations.Require(
            (Device.Status & DeviceStatus.DriverOk) == 0 || queue.WasReset,
            "a queue was set up after DRIVER_OK (3.1.1) that was not reset (2.6.1)");
        Machine.Violations.Require(offset == 28 || !queue.IsEnabled, $"register {offset} of a queue was written that is enabled (4.1.4.3.2)");
        switch (offset)
        {
            case 24:
                bool isRight = value != 0 && ((value & (value - 1)) == 0 || Device.Has(FakeVirtioDevice.RingPacked));
                Machine.Violations.Require(isRight && value <= queue.MaxSize, $"queue size {value} of {queue.MaxSize} (4.1.4.3.2)");
                queue.Size = (ushort)value;
                break;
            case 26:
                queue.Vector = Map(value);
                break;
            case 28:
                Machine.Violations.Require(value == 1, $"queue_enable was written with {value} (4.1.4.3.2)");
                queue.Enable();
                break;
            case 32 or 36:
                queue.DescriptorArea = Merge(queue.DescriptorArea, offset == 36, value);
                break;
            case 40 or 44:
                queue.DriverArea = Merge(queue.DriverArea, offset == 44, value);
                break;
            default:
                queue.DeviceArea = Merge(queue.DeviceArea, offset == 52, value);
                break;
        }
    }

    private void ResetQueue(uint value)
    {
        Machine.Violations.Require(value == 1, $"queue_reset was written with {value} (4.1.4.3.1)");
        Machine.Violations.Require(Queue is not null, $"queue {_queueSelect} was reset, which does not exist");
        Queue.BeginReset();
    }

    /// <summary>What stands for a queue in a notification with NOTIF_CONFIG_DATA: nothing that could be taken for its index.</summary>
    private static ushort NotifyDataOf(ushort queue) => (ushort)(0xA5C0 ^ queue * 3);

    private static ulong Merge(ulong old, bool isHigh, uint value) =>
        isHigh ? old & 0xFFFF_FFFF | (ulong)value << 32 : old & ~0xFFFF_FFFFul | value;

    private ushort Map(uint vector)
    {
        Machine.Violations.Require(
            vector == NoVector || (Msix is not null && vector < Msix.Size) || IsLenient, $"vector {vector} is beyond the table (4.1.5.1.2.2)");
        bool possible = Msix is not null && vector < Msix.Size && !(RefusesVector?.Invoke((ushort)vector) ?? false);
        return possible ? (ushort)vector : NoVector;
    }

    private void RequireCommon(ulong offset, int width)
    {
        int expected = offset switch
        {
            0 or 4 or 8 or 12 => 4,
            16 or 18 or 22 or 24 or 26 or 28 or 30 => 2,
            20 or 21 => 1,
            56 when Device.Has(VirtioFeature.NotifConfigData) => 2,
            58 when Device.Has(VirtioFeature.RingReset) => 2,
            32 or 36 or 40 or 44 or 48 or 52 => 4,
            _ => 0,
        };
        Machine.Violations.Require(width == expected, $"common register {offset} was accessed with {width} bytes instead of {expected} (4.1.3.1)");
    }

    private sealed class PciBus(FakeVirtioPciDevice function) : FakeVirtioBus
    {
        public override FakeMachine Machine => function.Machine;

        public override bool CanReachMemory => function.IsBusMaster;

        public override void RaiseQueue(FakeVirtqueue queue) => function.Raise(queue.Vector, IsrQueue);

        public override void RaiseConfig() => function.Raise(function._configVector, IsrConfig);

        public override void Reset()
        {
            function._configVector = NoVector;
            function._isr = 0;
            function._featureSelect = function._driverFeatureSelect = 0;
            function._queueSelect = 0;
        }
    }
}
