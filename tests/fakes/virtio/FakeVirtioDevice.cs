// A virtio device without its bus: status, features, queues and configuration, with the rules of virtio 2 and 3.
using VirtioSharp.Drivers.Virtio;

namespace VirtioSharp.Tests.Fakes.Virtio;

/// <summary>A field of the device configuration: only it can be accessed, and only with its own width (virtio 2.5, 4.1.3.1).</summary>
/// <param name="Offset">Where it is.</param>
/// <param name="Width">1, 2 or 4; a field of 8 bytes is two of 4.</param>
/// <param name="Feature">The feature it depends on, 0 for none.</param>
/// <param name="IsWritable">True when the driver may write it.</param>
public readonly record struct FakeConfigField(int Offset, int Width, ulong Feature = 0, bool IsWritable = false);

/// <summary>The way from a device to its machine: interrupts, and whether memory can be reached.</summary>
public abstract class FakeVirtioBus
{
    /// <summary>The machine.</summary>
    public abstract FakeMachine Machine { get; }

    /// <summary>True when the device may reach memory.</summary>
    public abstract bool CanReachMemory { get; }

    /// <summary>True for the interface from before virtio 1.0: 32 features, no FEATURES_OK (virtio 3.1.2).</summary>
    public virtual bool IsLegacy => false;

    /// <summary>Signals used buffers.</summary>
    public abstract void RaiseQueue(FakeVirtqueue queue);

    /// <summary>Signals a change of the configuration.</summary>
    public abstract void RaiseConfig();

    /// <summary>The device was reset: vectors are unmapped, the pin is down.</summary>
    public abstract void Reset();
}

/// <summary>A strict virtio device: whatever the driver does against the rules fails the test.</summary>
public abstract class FakeVirtioDevice
{
    /// <summary>VIRTIO_F_INDIRECT_DESC.</summary>
    public const ulong IndirectDescriptors = 1ul << 28;

    /// <summary>VIRTIO_F_EVENT_IDX.</summary>
    public const ulong EventIndex = 1ul << 29;

    /// <summary>VIRTIO_F_VERSION_1.</summary>
    public const ulong Version1 = 1ul << 32;

    /// <summary>VIRTIO_F_RING_PACKED.</summary>
    public const ulong RingPacked = 1ul << 34;

    /// <summary>VIRTIO_F_IN_ORDER.</summary>
    public const ulong InOrder = 1ul << 35;

    /// <summary>VIRTIO_F_NOTIFICATION_DATA.</summary>
    public const ulong NotificationData = 1ul << 38;

    private FakeVirtioBus? _bus;
    private bool _wasReset;
    private bool _resetSeen;
    private int _resetReadsLeft;
    private byte _statusBeforeReset;

    /// <summary>Makes a device with <paramref name="queueCount"/> queues.</summary>
    protected FakeVirtioDevice(ushort deviceType, int configLength, int queueCount, ushort maxQueueSize)
    {
        DeviceType = deviceType;
        Config = new byte[configLength];
        Queues = new FakeVirtqueue[queueCount];
        for (ushort i = 0; i < queueCount; i++)
        {
            Queues[i] = new FakeVirtqueue(this, i, maxQueueSize);
        }
    }

    /// <summary>The type id (virtio 5).</summary>
    public ushort DeviceType { get; }

    /// <summary>What the device offers.</summary>
    public ulong OfferedFeatures { get; set; } = Version1 | IndirectDescriptors | EventIndex;

    /// <summary>What the driver accepted.</summary>
    public ulong DriverFeatures { get; private set; }

    /// <summary>The status register.</summary>
    public byte Status { get; private set; }

    /// <summary>The device configuration.</summary>
    public byte[] Config { get; }

    /// <summary>Which accesses to the configuration there are.</summary>
    public abstract IReadOnlyList<FakeConfigField> ConfigFields { get; }

    /// <summary>The generation of the configuration (virtio 2.5.1).</summary>
    public byte ConfigGeneration { get; private set; }

    /// <summary>The queues.</summary>
    public FakeVirtqueue[] Queues { get; }

    /// <summary>True while the driver is in service.</summary>
    public bool IsLive => (Status & DeviceStatus.DriverOk) != 0 && (Status & DeviceStatus.NeedsReset) == 0;

    /// <summary>How often the device was reset.</summary>
    public int Resets { get; private set; }

    /// <summary>True once the driver said that it gave up.</summary>
    public bool WasGivenUp { get; private set; }

    /// <summary>How many reads of the status after a reset still show the old one (virtio 4.1.4.3.1); -1: it never ends.</summary>
    public int ResetReads { get; set; }

    /// <summary>Called after each reset by the driver: for a device that is another one afterwards.</summary>
    public Action? AfterReset { get; set; }

    /// <summary>A fault: features that the device does not want together with FEATURES_OK.</summary>
    public Func<ulong, bool>? RefusesFeatures { get; set; }

    /// <summary>A fault: the device changes descriptors itself, so that a change is not the driver's.</summary>
    public bool IsTamperingAllowed { get; set; }

    /// <summary>A fault: changes what a read of the status shows.</summary>
    public Func<byte, byte>? OnReadStatus { get; set; }

    /// <summary>A fault: changes what a read of the features shows.</summary>
    public Func<ulong, ulong>? OnReadFeatures { get; set; }

    /// <summary>A fault: changes what a read of the configuration shows (offset, width, value).</summary>
    public Func<int, int, uint, uint>? OnReadConfig { get; set; }

    /// <summary>A fault: changes what a read of the generation shows.</summary>
    public Func<byte, byte>? OnReadGeneration { get; set; }

    /// <summary>True when the device works only when told by <see cref="Work"/>, not by the machine.</summary>
    public bool IsHeld { get; set; }

    /// <summary>The machine.</summary>
    public FakeMachine Machine => Bus.Machine;

    /// <summary>The bus.</summary>
    public FakeVirtioBus Bus
    {
        get => _bus ?? throw new InvalidOperationException("the device is not plugged in");
        set => _bus = value;
    }

    private ViolationLog Violations => Machine.Violations;

    /// <summary>True when a feature was agreed on.</summary>
    public bool Has(ulong feature) =>
        (Bus.IsLegacy || (Status & DeviceStatus.FeaturesOk) != 0) && (DriverFeatures & feature) == feature;

    /// <summary>The driver reads the status.</summary>
    public byte ReadStatus()
    {
        byte status = Status;
        if (_resetReadsLeft != 0)
        {
            status = _statusBeforeReset;
            _resetReadsLeft -= _resetReadsLeft > 0 ? 1 : 0;
        }
        status = OnReadStatus?.Invoke(status) ?? status;
        _resetSeen |= status == 0;
        return status;
    }

    /// <summary>The driver writes the status.</summary>
    public void WriteStatus(byte value)
    {
        if (value == 0)
        {
            _statusBeforeReset = Status;
            _resetReadsLeft = Status == 0 && ResetReads > 0 ? 0 : ResetReads;
            _wasReset = true;
            _resetSeen = false;
            Reset();
            return;
        }
        byte known = DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.DriverOk | DeviceStatus.FeaturesOk | DeviceStatus.NeedsReset |
            DeviceStatus.Failed;
        Violations.Require((value & ~known) == 0, $"status 0x{value:X2} has bits that do not exist");
        Violations.Require(_wasReset, "the driver set a status before it reset the device (3.1.1)");
        bool isGivingUp = (value & DeviceStatus.Failed) != 0;
        WasGivenUp |= isGivingUp;
        Violations.Require(_resetSeen || isGivingUp, "the driver went on before it saw the reset end (4.1.4.3.2)");
        byte mine = (byte)(Status & ~DeviceStatus.NeedsReset);
        Violations.Require((value & mine) == mine, $"status 0x{Status:X2} was overwritten with 0x{value:X2}, which clears bits without a reset (2.1.1)");
        byte added = (byte)(value & ~Status);
        Violations.Require((added & DeviceStatus.NeedsReset) == 0, "the driver set DEVICE_NEEDS_RESET, which is the device's");
        Violations.Require((Status & DeviceStatus.Failed) == 0 || added == 0, "the driver went on after FAILED without a reset (2.1.1)");
        RequireOrder(added, DeviceStatus.Driver, DeviceStatus.Acknowledge);
        RequireOrder(added, DeviceStatus.FeaturesOk, DeviceStatus.Driver);
        RequireOrder(added, DeviceStatus.DriverOk, Bus.IsLegacy ? DeviceStatus.Driver : DeviceStatus.FeaturesOk);
        Violations.Require((added & DeviceStatus.FeaturesOk) == 0 || !Bus.IsLegacy, "FEATURES_OK was set, which the legacy interface does not have (3.1.2)");
        if (Bus.IsLegacy && (added & DeviceStatus.DriverOk) != 0)
        {
            ulong excess = DriverFeatures & ~OfferedFeatures;
            Violations.Require(excess == 0, $"the driver accepted 0x{excess:X}, which was not offered");
        }
        if ((added & DeviceStatus.FeaturesOk) != 0)
        {
            Violations.Require((DriverFeatures & ~OfferedFeatures) == 0, $"the driver accepted 0x{DriverFeatures & ~OfferedFeatures:X}, which was not offered");
            bool refused = RefusesFeatures?.Invoke(DriverFeatures) ?? (OfferedFeatures & ~DriverFeatures & Version1) != 0;
            value = (byte)(refused ? value & ~DeviceStatus.FeaturesOk : value);
        }
        Status = value;
        if ((added & value & DeviceStatus.FeaturesOk) != 0)
        {
            OnFeaturesAgreed();
        }
    }

    /// <summary>The device is as firmware leaves it that used it: at DRIVER_OK.</summary>
    public void LeaveRunning() => Status = DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk;

    /// <summary>The device can't go on (virtio 2.1.2).</summary>
    public void AskForReset()
    {
        bool live = IsLive;
        Status |= DeviceStatus.NeedsReset;
        if (live)
        {
            Bus.RaiseConfig();
        }
    }

    /// <summary>The driver reads the features.</summary>
    public ulong ReadFeatures()
    {
        Violations.Require((Status & DeviceStatus.Driver) != 0, "features were read before DRIVER was set (3.1.1)");
        ulong offered = Bus.IsLegacy ? (uint)OfferedFeatures : OfferedFeatures;
        return OnReadFeatures?.Invoke(offered) ?? offered;
    }

    /// <summary>The driver writes 32 of the features it accepts.</summary>
    public void WriteDriverFeatures(int word, uint value)
    {
        Violations.Require((Status & DeviceStatus.Driver) != 0, "features were written before DRIVER was set (3.1.1)");
        Violations.Require((Status & DeviceStatus.FeaturesOk) == 0, "features were written after FEATURES_OK (3.1.1)");
        Violations.Require((Status & DeviceStatus.DriverOk) == 0, "features were written after DRIVER_OK (3.1.2)");
        Violations.Require(word == 0 || !Bus.IsLegacy, "features beyond bit 31 were written to a legacy interface");
        Violations.Require(word < 2 || value == 0, $"features of word {word} were accepted");
        if (word < 2)
        {
            DriverFeatures = DriverFeatures & ~(0xFFFF_FFFFul << (32 * word)) | (ulong)value << (32 * word);
        }
    }

    /// <summary>The driver reads the configuration.</summary>
    public uint ReadConfig(int offset, int width)
    {
        RequireField(offset, width, isWrite: false);
        CheckConfigAccess(offset, isWrite: false);
        uint value = 0;
        for (int i = 0; i < width; i++)
        {
            value |= (uint)Config[offset + i] << (8 * i);
        }
        return OnReadConfig?.Invoke(offset, width, value) ?? value;
    }

    /// <summary>The driver writes the configuration.</summary>
    public void WriteConfig(int offset, int width, uint value)
    {
        RequireField(offset, width, isWrite: true);
        CheckConfigAccess(offset, isWrite: true);
        for (int i = 0; i < width; i++)
        {
            Config[offset + i] = (byte)(value >> (8 * i));
        }
        OnConfigWritten(offset, value);
    }

    /// <summary>The driver reads the generation.</summary>
    public byte ReadGeneration() => OnReadGeneration?.Invoke(ConfigGeneration) ?? ConfigGeneration;

    /// <summary>The configuration changed: a new generation, and the driver hears of it.</summary>
    public void ChangeConfig(Action<byte[]> change)
    {
        change(Config);
        ConfigGeneration++;
        if (IsLive)
        {
            Bus.RaiseConfig();
        }
    }

    /// <summary>The driver rings the doorbell of a queue; with NOTIFICATION_DATA it says where the next buffer will be put.</summary>
    public void Notify(ushort queue, ushort? position = null)
    {
        Violations.Require(queue < Queues.Length, $"queue {queue} was notified, which does not exist");
        Violations.Require((Status & DeviceStatus.DriverOk) != 0, $"queue {queue} was notified before DRIVER_OK (3.1.1)");
        Violations.Require(Queues[queue].IsEnabled, $"queue {queue} was notified, which is not enabled");
        Violations.Require(!Queues[queue].IsResetting, $"queue {queue} was notified during its reset (2.6.1)");
        Queues[queue].LastPosition = position;
        Queues[queue].Notify();
    }

    /// <summary>Does the work that is there, unless held; true when something was done.</summary>
    public bool Run() => !IsHeld && Work();

    /// <summary>Does the work that is there; true when something was done.</summary>
    public bool Work()
    {
        if (!IsLive)
        {
            return false;
        }
        bool any = false;
        foreach (FakeVirtqueue queue in Queues)
        {
            if (IsLive && queue.BeginWork())
            {
                Violations.Require(Bus.CanReachMemory, "the device has work to do, but bus mastering is off");
                any = true;
                do
                {
                    queue.SuppressNotifications();
                    Process(queue);
                }
                while (queue.EndWork());
                queue.Signal();
            }
        }
        return any | WorkMore();
    }

    /// <summary>Signals used buffers of a queue.</summary>
    public void RaiseQueue(FakeVirtqueue queue) => Bus.RaiseQueue(queue);

    /// <summary>Takes everything that is available in a queue, and uses what can be used now.</summary>
    protected abstract void Process(FakeVirtqueue queue);

    /// <summary>Does work that no doorbell asked for; true when something was done.</summary>
    protected virtual bool WorkMore() => false;

    /// <summary>True for a field that may be written before FEATURES_OK.</summary>
    public virtual bool IsWritableEarly(int offset) => false;

    /// <summary>Judges an access to the configuration.</summary>
    protected virtual void CheckConfigAccess(int offset, bool isWrite)
    {
    }

    /// <summary>The driver wrote the configuration.</summary>
    protected virtual void OnConfigWritten(int offset, uint value)
    {
    }

    /// <summary>The features are agreed on.</summary>
    protected virtual void OnFeaturesAgreed()
    {
    }

    /// <summary>Everything in flight is forgotten.</summary>
    protected virtual void OnReset()
    {
    }

    /// <summary>What is in flight in one queue is forgotten (virtio 2.6.1).</summary>
    protected internal virtual void OnQueueReset(FakeVirtqueue queue)
    {
    }

    private void Reset()
    {
        Resets++;
        Status = 0;
        DriverFeatures = 0;
        foreach (FakeVirtqueue queue in Queues)
        {
            queue.Reset();
        }
        OnReset();
        Bus.Reset();
        AfterReset?.Invoke();
    }

    private void RequireOrder(byte added, byte bit, byte before) =>
        Violations.Require((added & bit) == 0 || (Status & before) != 0, $"status bit 0x{bit:X2} was set before 0x{before:X2} (3.1.1)");

    private void RequireField(int offset, int width, bool isWrite)
    {
        foreach (FakeConfigField field in ConfigFields)
        {
            if (field.Offset == offset && field.Width == width)
            {
                Violations.Require(
                    (field.Feature & OfferedFeatures) == field.Feature,
                    $"config field {offset} was accessed, whose feature is not offered (2.5.1)");
                Violations.Require(!isWrite || field.IsWritable, $"config field {offset} was written, which is read-only");
                return;
            }
        }
        Violations.Break($"no config field has {width} bytes at offset {offset}");
    }
}
