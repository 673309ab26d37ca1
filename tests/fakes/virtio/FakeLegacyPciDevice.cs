// The legacy interface around a fake virtio device: one block of registers in a port BAR (virtio 4.1.4.10), MSI-X, the pin.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Fakes.Pci;

namespace VirtioSharp.Tests.Fakes.Virtio;

/// <summary>A virtio function from before 1.0. What the driver does against the rules of the legacy interface fails the test.</summary>
public sealed class FakeLegacyPciDevice : FakePciFunction
{
    private const int MsixBar = 1;
    private const uint BarLength = 128;
    private const uint PageSize = 4096;
    private const ushort NoVector = 0xFFFF;
    private const byte IsrQueue = 1;
    private const byte IsrConfig = 2;

    private readonly bool _hasPin;
    private ushort _queueSelect;
    private ushort _configVector = NoVector;
    private byte _isr;

    /// <summary>Makes the function; <paramref name="vectors"/> 0 means no MSI-X.</summary>
    public FakeLegacyPciDevice(FakeVirtioDevice device, ushort vectors = 4, bool hasPin = true)
        : base(0x1AF4, device.DeviceType == 2 ? (ushort)0x1001 : device.DeviceType == 3 ? (ushort)0x1003 : (ushort)0x1009)
    {
        Device = device;
        _hasPin = hasPin;
        device.Bus = new LegacyBus(this);
        Set16(PciRegisters.SubsystemVendorId, 0x1AF4);
        Set16(PciRegisters.SubsystemId, device.DeviceType);
        Set8(PciRegisters.InterruptPin, hasPin ? (byte)1 : (byte)0);
        FakePartedBar bar = new(BarLength, () => Machine.Violations);
        bar.Add(new FakeBarPart(0, BarLength, Read, Write));
        AddPortBar(0, bar);
        if (vectors > 0)
        {
            Msix = new FakeMsixTable(this, MsixBar, vectors);
        }
    }

    /// <summary>The device behind the registers.</summary>
    public FakeVirtioDevice Device { get; }

    /// <summary>MSI-X; null when the function has none.</summary>
    public FakeMsixTable? Msix { get; }

    /// <summary>For tests of this device: a vector beyond the table is answered as devices have to answer it, and does not fail the test.</summary>
    public bool IsLenient { get; set; }

    /// <summary>A fault: changes what a read of a register shows (offset, value).</summary>
    public Func<uint, uint, uint>? OnRead { get; set; }

    /// <summary>A fault: swallows a write to a register by answering true (offset, value).</summary>
    public Func<uint, uint, bool>? OnWrite { get; set; }

    /// <inheritdoc/>
    protected override bool WantsPin => _hasPin && _isr != 0 && !HasVectors;

    private bool HasVectors => Msix is { IsEnabled: true };

    private uint ConfigStart => HasVectors ? 24u : 20u;

    private ViolationLog Violations => Machine.Violations;

    private FakeVirtqueue? Queue => _queueSelect < Device.Queues.Length ? Device.Queues[_queueSelect] : null;

    /// <inheritdoc/>
    public override bool Run() => Device.Run();

    /// <summary>Sends an interrupt for used buffers whatever the ring says: a device that lies.</summary>
    public void RaiseQueue(ushort vector) => Raise(vector, IsrQueue);

    /// <inheritdoc/>
    protected override void OnConfigWritten(ushort offset, int width)
    {
        base.OnConfigWritten(offset, width);
        Msix?.RaisePending();
    }

    private void Raise(ushort vector, byte isr)
    {
        if (HasVectors)
        {
            if (vector != NoVector)
            {
                Msix!.Raise(vector);
            }
            return;
        }
        _isr |= isr;
        if (IsPinUp)
        {
            Machine.DeliverPin(this);
        }
    }

    private uint Read(ulong place, int width)
    {
        uint offset = (uint)place;
        if (offset >= ConfigStart)
        {
            return Device.ReadConfig((int)(offset - ConfigStart), width);
        }
        RequireWidth(offset, width);
        uint value = offset switch
        {
            0 => (uint)Device.ReadFeatures(),
            8 => PageOf(Queue),
            12 => Queue?.MaxSize ?? 0u,
            14 => _queueSelect,
            18 => Device.ReadStatus(),
            19 => ReadIsr(),
            20 => _configVector,
            22 => Queue?.Vector ?? NoVector,
            _ => Refuse(offset, "read"),
        };
        return OnRead?.Invoke(offset, value) ?? value;
    }

    private void Write(ulong place, int width, uint value)
    {
        uint offset = (uint)place;
        if (offset >= ConfigStart)
        {
            Device.WriteConfig((int)(offset - ConfigStart), width, value);
            return;
        }
        RequireWidth(offset, width);
        if (OnWrite?.Invoke(offset, value) ?? false)
        {
            return;
        }
        switch (offset)
        {
            case 4:
                Device.WriteDriverFeatures(0, value);
                break;
            case 8:
                SetPage(value);
                break;
            case 14:
                _queueSelect = (ushort)value;
                break;
            case 16:
                Device.Notify((ushort)value);
                break;
            case 18:
                Device.WriteStatus((byte)value);
                break;
            case 20:
                _configVector = Map(value);
                break;
            case 22:
                Violations.Require(Queue is not null, $"a vector was set for queue {_queueSelect}, which does not exist");
                Queue.Vector = Map(value);
                break;
            default:
                Refuse(offset, "written");
                break;
        }
    }

    private byte ReadIsr()
    {
        byte value = _isr;
        _isr = 0;
        return value;
    }

    /// <summary>One block of memory, laid out as 2.7.2 has it.</summary>
    private void SetPage(uint page)
    {
        FakeVirtqueue? queue = Queue;
        Violations.Require(queue is not null, $"queue {_queueSelect} was set up, which does not exist");
        Violations.Require((Device.Status & DeviceStatus.Driver) != 0, "a queue was set up before DRIVER (3.1.1)");
        Violations.Require((Device.Status & DeviceStatus.DriverOk) == 0, "a queue was set up after DRIVER_OK (3.1.1)");
        Violations.Require(page != 0 && !queue.IsEnabled, "a queue was set up twice, or stopped");
        queue.DescriptorArea = (ulong)page * PageSize;
        queue.DriverArea = queue.DescriptorArea + 16u * queue.Size;
        queue.DeviceArea = (queue.DriverArea + 2u * (3u + queue.Size) + PageSize - 1) / PageSize * PageSize;
        uint total = (uint)(queue.DeviceArea - queue.DescriptorArea) + (6u + 8u * queue.Size + PageSize - 1) / PageSize * PageSize;
        Violations.Require(
            Machine.FakeDma.IsLent(queue.DescriptorArea, total, forWriting: true), "the ring's memory is shorter than the legacy layout has it (2.7.2)");
        queue.Enable();
    }

    private static uint PageOf(FakeVirtqueue? queue) => queue is { IsEnabled: true } ? (uint)(queue.DescriptorArea / PageSize) : 0;

    private ushort Map(uint vector)
    {
        bool isThere = Msix is not null && vector < Msix.Size;
        Violations.Require(isThere || vector == NoVector || IsLenient, $"vector {vector} is beyond the table (4.1.5.1.2.2)");
        return isThere ? (ushort)vector : NoVector;
    }

    private uint Refuse(uint offset, string what)
    {
        Violations.Break($"legacy register {offset} was {what} (4.1.4.10)");
        return 0;
    }

    private void RequireWidth(uint offset, int width)
    {
        int expected = offset switch
        {
            0 or 4 or 8 => 4,
            12 or 14 or 16 or 20 or 22 => 2,
            18 or 19 => 1,
            _ => 0,
        };
        Violations.Require(width == expected, $"legacy register {offset} was accessed with {width} bytes instead of {expected} (4.1.4.10)");
    }

    private sealed class LegacyBus(FakeLegacyPciDevice function) : FakeVirtioBus
    {
        public override FakeMachine Machine => function.Machine;

        public override bool CanReachMemory => function.IsBusMaster;

        public override bool IsLegacy => true;

        public override void RaiseQueue(FakeVirtqueue queue) => function.Raise(queue.Vector, IsrQueue);

        public override void RaiseConfig() => function.Raise(function._configVector, IsrConfig);

        public override void Reset()
        {
            function._configVector = NoVector;
            function._isr = 0;
            function._queueSelect = 0;
        }
    }
}
