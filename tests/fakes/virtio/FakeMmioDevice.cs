// virtio-mmio around a fake virtio device: the registers of version 2 and of version 1 (virtio 4.2.2, 4.2.4), and its interrupt line.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;

namespace VirtioSharp.Tests.Fakes.Virtio;

/// <summary>A device without a bus. Every access with a width, a direction or to a register that the specification does not have fails the test.</summary>
public sealed class FakeMmioDevice : PlatformDevice
{
    /// <summary>How many bytes of registers there are.</summary>
    public const uint RegisterLength = 0x200;

    private const uint Config = 0x100;
    private const uint Magic = 0x74726976;
    private const byte UsedBuffer = 1;
    private const byte ConfigChange = 2;

    private readonly FakeMachine _machine;
    private readonly uint _version;
    private uint? _featureSelect;
    private uint? _driverFeatureSelect;
    private uint _queueSelect;
    private uint _pageSize;
    private uint _align;
    private byte _interruptStatus;
    private uint _shownInterrupts;

    /// <summary>Makes the device; <paramref name="version"/> is 1 or 2.</summary>
    public FakeMmioDevice(FakeMachine machine, FakeVirtioDevice device, uint version)
    {
        _machine = machine;
        _version = version;
        Device = device;
        device.Bus = new MmioBus(this);
        Registers = new RegisterRegion(this);
    }

    /// <summary>The device behind the registers.</summary>
    public FakeVirtioDevice Device { get; }

    /// <summary>Who is called for the line; null when nobody is.</summary>
    public InterruptHandler? Handler { get; private set; }

    /// <summary>False when the interrupt line leads nowhere.</summary>
    public bool HasInterrupt { get; set; } = true;

    /// <summary>A fault: false when no register answers any more.</summary>
    public bool Answers { get; set; } = true;

    /// <summary>A fault: changes what a read of a register shows (offset, value).</summary>
    public Func<uint, uint, uint>? OnRead { get; set; }

    /// <summary>A fault: swallows a write to a register by answering true (offset, value).</summary>
    public Func<uint, uint, bool>? OnWrite { get; set; }

    /// <summary>Every register that was accessed, in order, writes with the top bit set.</summary>
    public List<uint> Accesses { get; } = [];

    /// <inheritdoc/>
    public override ulong Address => 0xFEB0_0000;

    /// <inheritdoc/>
    public override IoRegion Registers { get; }

    /// <inheritdoc/>
    public override DmaSpace Dma => _machine.Dma;

    /// <inheritdoc/>
    public override Clock Clock => _machine.Clock;

    private bool IsLegacy => _version == 1;

    private ViolationLog Violations => _machine.Violations;

    private FakeVirtqueue? Queue => _queueSelect < Device.Queues.Length ? Device.Queues[_queueSelect] : null;

    /// <inheritdoc/>
    public override bool TryAttachInterrupt(InterruptHandler handler)
    {
        Violations.Require(Handler is null, "a second handler was attached to an interrupt line");
        Handler = HasInterrupt ? handler : null;
        return HasInterrupt;
    }

    /// <inheritdoc/>
    public override void DetachInterrupt(InterruptHandler handler)
    {
        Violations.Require(Handler == handler, "a handler was detached that was not attached");
        Handler = null;
    }

    /// <summary>Raises the line whatever the ring says.</summary>
    public void Raise(byte status)
    {
        _interruptStatus |= status;
        for (int round = 0; _interruptStatus != 0 && Handler is not null; round++)
        {
            Violations.Require(round < 100, "the line stays up whatever its handler does");
            _machine.Deliver(Handler);
        }
    }

    private uint Read(uint offset, int width)
    {
        if (!Answers)
        {
            return uint.MaxValue;
        }
        if (offset >= Config)
        {
            return Device.ReadConfig((int)(offset - Config), width);
        }
        Accesses.Add(offset);
        Violations.Require(width == 4, $"register 0x{offset:X3} was read with {width} bytes (4.2.2.2)");
        uint value = offset switch
        {
            0x000 => Magic,
            0x004 => _version,
            0x008 => Device.DeviceType,
            0x00C => 0x554D4551,
            0x010 => ReadFeatures(),
            0x034 => ReadQueueSizeMax(),
            0x060 => _interruptStatus,
            0x070 => Device.ReadStatus(),
            0x040 when IsLegacy => PageOf(Queue),
            0x044 when !IsLegacy => Queue is { IsEnabled: true } ? 1u : 0,
            0x0C0 when !IsLegacy && Device.Has(VirtioFeature.RingReset) => Queue?.ReadReset() ?? false ? 1u : 0,
            0x0FC when !IsLegacy => Device.ReadGeneration(),
            _ => Refuse(offset, "read"),
        };
        value = OnRead?.Invoke(offset, value) ?? value;
        _shownInterrupts = offset == 0x060 ? value : _shownInterrupts;
        return value;
    }

    private void Write(uint offset, int width, uint value)
    {
        if (!Answers)
        {
            return;
        }
        if (offset >= Config)
        {
            Device.WriteConfig((int)(offset - Config), width, value);
            return;
        }
        Accesses.Add(offset | 0x8000_0000);
        Violations.Require(width == 4, $"register 0x{offset:X3} was written with {width} bytes (4.2.2.2)");
        if (OnWrite?.Invoke(offset, value) ?? false)
        {
            // The driver has chosen; it is not its fault that the device did not listen.
            _featureSelect = offset == 0x014 ? 0 : _featureSelect;
            _driverFeatureSelect = offset == 0x024 ? 0 : _driverFeatureSelect;
            return;
        }
        switch (offset)
        {
            case 0x014:
                _featureSelect = value;
                break;
            case 0x020:
                Violations.Require(_driverFeatureSelect is not null, "DriverFeatures was written before DriverFeaturesSel (4.2.2.2)");
                Device.WriteDriverFeatures((int)_driverFeatureSelect!, value);
                _driverFeatureSelect = null;
                break;
            case 0x024:
                _driverFeatureSelect = value;
                break;
            case 0x030:
                _queueSelect = value;
                break;
            case 0x050:
                Notify(value);
                break;
            case 0x064:
                Violations.Require((value & ~3u) == 0, $"InterruptACK was written with undefined bits: 0x{value:X} (4.2.2.2)");
                Violations.Require((value & ~_shownInterrupts) == 0, "an interrupt was acknowledged that was not shown");
                _interruptStatus &= (byte)~value;
                break;
            case 0x070:
                Violations.Require(value <= 0xFF, $"status was written with 0x{value:X}");
                Device.WriteStatus((byte)value);
                break;
            case 0x028 when IsLegacy:
                Violations.Require(value != 0 && (value & (value - 1)) == 0, $"a guest page size of {value} (4.2.4)");
                _pageSize = value;
                break;
            default:
                WriteQueue(offset, value);
                break;
        }
    }

    private uint ReadFeatures()
    {
        Violations.Require(_featureSelect is not null, "DeviceFeatures was read before DeviceFeaturesSel was set (4.2.2.2)");
        uint value = _featureSelect < 2 ? (uint)(Device.ReadFeatures() >> (int)(32 * _featureSelect!)) : 0;
        _featureSelect = null;
        return value;
    }

    private uint ReadQueueSizeMax()
    {
        Violations.Require(!IsLegacy || PageOf(Queue) == 0, "QueueSizeMax was read of a queue in use (4.2.4)");
        return Queue?.MaxSize ?? 0u;
    }

    private void Notify(uint value)
    {
        bool hasPosition = Device.Has(VirtioFeature.NotificationData);
        Violations.Require(hasPosition || value <= ushort.MaxValue, $"0x{value:X} was written to QueueNotify (4.2.3.3)");
        Device.Notify((ushort)value, hasPosition ? (ushort)(value >> 16) : null);
    }

    private void WriteQueue(uint offset, uint value)
    {
        FakeVirtqueue? queue = Queue;
        Violations.Require(queue is not null, $"queue {_queueSelect} was set up, which does not exist");
        byte needed = IsLegacy ? DeviceStatus.Driver : DeviceStatus.FeaturesOk;
        Violations.Require((Device.Status & needed) != 0, "a queue was set up too early (3.1.1)");
        if (offset == 0x0C0 && !IsLegacy && Device.Has(VirtioFeature.RingReset))
        {
            Violations.Require(value == 1, $"QueueReset was written with {value}");
            queue.BeginReset();
            return;
        }
        Violations.Require((Device.Status & DeviceStatus.DriverOk) == 0 || queue.WasReset, "a queue was set up after DRIVER_OK (3.1.1)");
        Violations.Require(!queue.IsEnabled, $"register 0x{offset:X3} of a queue was written that is enabled (4.2.2.2)");
        switch (offset)
        {
            case 0x038:
                Violations.Require(value <= queue.MaxSize, $"queue size {value} of {queue.MaxSize} (4.2.2.2)");
                queue.Size = (ushort)value;
                break;
            case 0x03C when IsLegacy:
                Violations.Require(value != 0 && (value & (value - 1)) == 0, $"a queue alignment of {value} (4.2.4)");
                _align = value;
                break;
            case 0x040 when IsLegacy:
                EnableLegacy(queue, value);
                break;
            case 0x044 when !IsLegacy:
                Violations.Require(value == 1, $"QueueReady was written with {value}");
                queue.Enable();
                break;
            case 0x080 or 0x084 when !IsLegacy:
                queue.DescriptorArea = Merge(queue.DescriptorArea, offset == 0x084, value);
                break;
            case 0x090 or 0x094 when !IsLegacy:
                queue.DriverArea = Merge(queue.DriverArea, offset == 0x094, value);
                break;
            case 0x0A0 or 0x0A4 when !IsLegacy:
                queue.DeviceArea = Merge(queue.DeviceArea, offset == 0x0A4, value);
                break;
            default:
                Refuse(offset, "written");
                break;
        }
    }

    /// <summary>One block of memory, laid out as 2.7.2 has it.</summary>
    private void EnableLegacy(FakeVirtqueue queue, uint page)
    {
        Violations.Require(_pageSize != 0, "QueuePFN was written before GuestPageSize (4.2.4)");
        Violations.Require(_align != 0, "QueuePFN was written before QueueAlign (4.2.4)");
        Violations.Require(page != 0, "a queue was stopped that is not in use (4.2.4)");
        queue.DescriptorArea = (ulong)page * _pageSize;
        queue.DriverArea = queue.DescriptorArea + 16u * queue.Size;
        queue.DeviceArea = (queue.DriverArea + 2u * (3u + queue.Size) + _align - 1) / _align * _align;
        queue.Enable();
    }

    private uint PageOf(FakeVirtqueue? queue) => queue is { IsEnabled: true } ? (uint)(queue.DescriptorArea / _pageSize) : 0;

    private uint Refuse(uint offset, string what)
    {
        Violations.Break($"register 0x{offset:X3} was {what}, which version {_version} does not have so (4.2.2, 4.2.4)");
        return 0;
    }

    private static ulong Merge(ulong old, bool isHigh, uint value) =>
        isHigh ? old & 0xFFFF_FFFF | (ulong)value << 32 : old & ~0xFFFF_FFFFul | value;

    private sealed class MmioBus(FakeMmioDevice device) : FakeVirtioBus
    {
        public override FakeMachine Machine => device._machine;

        public override bool CanReachMemory => true;

        public override bool IsLegacy => device.IsLegacy;

        public override void RaiseQueue(FakeVirtqueue queue) => device.Raise(UsedBuffer);

        public override void RaiseConfig() => device.Raise(ConfigChange);

        public override void Reset()
        {
            device._interruptStatus = 0;
            device._featureSelect = device._driverFeatureSelect = null;
            device._queueSelect = device._pageSize = device._align = 0;
        }
    }

    private sealed class RegisterRegion(FakeMmioDevice device) : IoRegion
    {
        public override ulong Length => RegisterLength;

        public override byte Read8(ulong offset) => (byte)device.Read((uint)offset, 1);

        public override ushort Read16(ulong offset) => (ushort)device.Read((uint)offset, 2);

        public override uint Read32(ulong offset) => device.Read((uint)offset, 4);

        public override void Write8(ulong offset, byte value) => device.Write((uint)offset, 1, value);

        public override void Write16(ulong offset, ushort value) => device.Write((uint)offset, 2, value);

        public override void Write32(ulong offset, uint value) => device.Write((uint)offset, 4, value);
    }
}
