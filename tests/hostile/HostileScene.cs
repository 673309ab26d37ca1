// The stage of a hostile case: a machine with one device, over any transport, that was not probed yet.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Backends;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Entropy;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>The device can be made to lie in words that are the same for every transport.</summary>
public sealed class HostileScene : IDisposable
{
    private const ulong LongTime = 120_000_000_000;
    private const ulong PollingTime = 1_000_000;
    private const int Sectors = 256;
    private static readonly byte[] Content = MakeContent();

    private readonly FakeVirtioPciDevice? _modern;
    private readonly FakeLegacyPciDevice? _legacy;
    private readonly FakeMmioDevice? _mmio;
    private readonly List<PutBack> _before = [];

    /// <summary>Makes the stage.</summary>
    public HostileScene(Place place, Subject subject = Subject.Disk, int queues = 1)
    {
        Place = place;
        Machine.FakeDma.Shares = place.Memory == Memories.Lent;
        Device = subject switch
        {
            Subject.Disk => new FakeBlockDevice(Sectors, queues: queues),
            Subject.Entropy => new FakeEntropyDevice(),
            _ => new FakeConsoleDevice(ports: subject == Subject.Ports ? 4 : 0),
        };
        Device.OfferedFeatures &= place.HasEvent ? ulong.MaxValue : ~FakeVirtioDevice.EventIndex;
        Device.OfferedFeatures |= (place.IsPacked ? FakeVirtioDevice.RingPacked : 0) | (place.IsInOrder ? FakeVirtioDevice.InOrder : 0);
        if (subject == Subject.Disk)
        {
            Content.CopyTo(Disk.Disk, 0);
        }
        else if (subject == Subject.Ports)
        {
            Console.Plug(1, "good");
        }
        ushort vectors = place.Way == Ways.MsiX ? (ushort)4 : (ushort)0;
        bool hasPin = place.Way != Ways.None;
        Machine.HasPins = hasPin;
        switch (place.Machine)
        {
            case Machines.LegacyPci:
                _legacy = Machine.Plug(new FakeLegacyPciDevice(Device, vectors, hasPin), 0, 3);
                break;
            case Machines.Mmio or Machines.LegacyMmio:
                _mmio = Machine.Plug(new FakeMmioDevice(Machine, Device, place.IsLegacy ? 1u : 2u) { HasInterrupt = hasPin });
                break;
            default:
                _modern = Machine.Plug(new FakeVirtioPciDevice(Device, vectors, hasPin), 0, 3);
                Machine.RefusesMemory = place.Machine == Machines.ConfigAccess;
                if (place.Way == Ways.Msi)
                {
                    _modern.AddMsi();
                }
                break;
        }
    }

    /// <summary>The machine.</summary>
    public FakeMachine Machine { get; } = new();

    /// <summary>Where the case is played.</summary>
    public Place Place { get; }

    /// <summary>The device.</summary>
    public FakeVirtioDevice Device { get; }

    /// <summary>The device, if it is a disk.</summary>
    public FakeBlockDevice Disk => (FakeBlockDevice)Device;

    /// <summary>The device, if it is a console.</summary>
    public FakeConsoleDevice Console => (FakeConsoleDevice)Device;

    /// <summary>The first of the device's queues.</summary>
    public FakeVirtqueue Queue => Device.Queues[0];

    /// <summary>The device's PCI function, with the modern interface.</summary>
    public FakeVirtioPciDevice Function => _modern ?? throw new InvalidOperationException("the case needs the modern interface");

    /// <summary>The device's PCI function, with the legacy interface.</summary>
    public FakeLegacyPciDevice LegacyFunction => _legacy ?? throw new InvalidOperationException("the case needs the legacy interface");

    /// <summary>The device's PCI function; null for a device on no bus.</summary>
    public FakePciFunction? AnyFunction => (FakePciFunction?)_modern ?? _legacy;

    /// <summary>The driver in service, if it is that of a disk.</summary>
    public VirtioBlk BlockDriver => (VirtioBlk)InService!;

    /// <summary>The driver in service, if it is that of a console.</summary>
    public VirtioConsole ConsoleDriver => (VirtioConsole)InService!;

    /// <summary>The driver in service; null when there is none.</summary>
    public Device? InService { get; private set; }

    /// <summary>Called with all requests submitted and kicked, and taken by the device when that holds back.</summary>
    public Action? DuringRequests { get; set; }

    /// <summary>Makes the device do what the case says.</summary>
    public void Arrange(HostileCase fault)
    {
        object[] ports = Device is FakeConsoleDevice console ? console.Ports : [];
        object?[] parts = [Machine, Machine.FakeDma, Device, .. Device.Queues, .. ports, _modern, _legacy, _mmio];
        _before.AddRange(parts.OfType<object>().Select(part => new PutBack(part)));
        (byte[] values, byte[] writable)? before = Clone();
        fault.Arrange(this);
        if (before is not null && Clone() is (byte[] Values, byte[] Writable) after)
        {
            // What the case changed in config space, and not what the driver will.
            int[] changed = [.. Enumerable.Range(0, 256).Where(i => before.Value.values[i] != after.Values[i] || before.Value.writable[i] != after.Writable[i])];
            _before.Add(new PutBack(() =>
            {
                foreach (int i in changed)
                {
                    (byte[] values, byte[] writable) = AnyFunction!.Image;
                    (values[i], writable[i]) = (before.Value.values[i], before.Value.writable[i]);
                }
            }));
        }
    }

    /// <summary>Takes the device into service; null says that the scan did not find it.</summary>
    public ProbeResult? Attach()
    {
        if (_mmio is not null)
        {
            VirtioDriverTable drivers = TestDrivers.All();
            ProbeResult probed = new VirtioMmioDriver(drivers).Probe(TraceRecording.Around(_mmio, drivers), out Device? bound);
            InService = bound;
            return probed;
        }
        DeviceTable devices = FakeBinding.Attach(Machine, out List<ProbeResult> results);
        InService = devices.Count > 0 ? devices[0] : null;
        return results.Count == 0 ? null : results.OrderBy(each => each.Status != ProbeStatus.NotMine).Last();
    }

    /// <summary>The device behaves again: everything that the case changed is as it was, and a card that was pulled is there again.</summary>
    public void Behave()
    {
        DuringRequests = null;
        InService = null;
        foreach (PutBack part in _before)
        {
            part.Do();
        }
        Device.WriteStatus(0);
    }

    /// <summary>
    /// What the kernel's run loop does, until <paramref name="done"/>: the driver is polled after an interrupt, after its own deadline, and all
    /// the time when it wants that; nobody looks by chance. Fails after <paramref name="limit"/> nanoseconds of the machine's time.
    /// </summary>
    public void Until(Func<bool> done, string what, ulong limit = LongTime)
    {
        ulong end = Machine.Clock.Now + limit;
        Assert.True(Turn(done, end, ulong.MaxValue), $"waited in vain: {what}");
    }

    /// <summary>The same for a time.</summary>
    public void Pass(ulong nanoseconds)
    {
        ulong end = Machine.Clock.Now + nanoseconds;
        Turn(() => Machine.Clock.Now >= end, end, end);
    }

    /// <summary>Holds requests back, does <paramref name="what"/> with them in flight, then lets them go, or never.</summary>
    public void WhileHeld(Action what, bool letGo = true)
    {
        Disk.HoldsBack = true;
        DuringRequests = () =>
        {
            what();
            if (letGo)
            {
                Disk.HoldsBack = false;
                Disk.CompleteAll();
            }
        };
    }

    /// <summary>Does <paramref name="what"/> with requests in flight, and tells the driver that there is something.</summary>
    public void Lie(Action what) => WhileHeld(
        () =>
        {
            what();
            Interrupt();
        },
        letGo: false);

    /// <summary>Sends the queue's interrupt, or that of another vector, whatever the ring says.</summary>
    public void Interrupt(ushort? vector = null)
    {
        _modern?.RaiseQueue(vector ?? Queue.Vector);
        _legacy?.RaiseQueue(vector ?? Queue.Vector);
        _mmio?.Raise(1);
    }

    /// <summary>Pulls a card; a device on no bus answers no more.</summary>
    public void Pull()
    {
        if (_mmio is not null)
        {
            _mmio.Answers = false;
            return;
        }
        Machine.Pull(AnyFunction!);
    }

    /// <summary>Changes what reads of registers show.</summary>
    public void OnRead(Func<Register, uint, uint> change)
    {
        if (_modern is not null)
        {
            _modern.OnReadCommon = (offset, _, value) => change(Registers.OfCommon(offset), value);
            _modern.OnReadIsr = value => (byte)change(Register.InterruptStatus, value);
        }
        if (_legacy is not null)
        {
            _legacy.OnRead = (offset, value) => change(Registers.OfLegacy(offset), value);
        }
        if (_mmio is not null)
        {
            _mmio.OnRead = (offset, value) => change(Registers.OfMmio(offset), value);
        }
    }

    /// <summary>Swallows writes to registers by answering true.</summary>
    public void OnWrite(Func<Register, uint, bool> swallows)
    {
        if (_modern is not null)
        {
            _modern.OnWriteCommon = (offset, _, value) => swallows(Registers.OfCommon(offset), value);
        }
        if (_legacy is not null)
        {
            _legacy.OnWrite = (offset, value) => swallows(Registers.OfLegacy(offset), value);
        }
        if (_mmio is not null)
        {
            _mmio.OnWrite = (offset, value) => swallows(Registers.OfMmio(offset), value);
        }
    }

    /// <summary>Shows another value in a register.</summary>
    public void Show(Register register, uint value) => OnRead((read, right) => read == register ? value : right);

    /// <summary>Swallows all writes to a register.</summary>
    public void Swallow(Register register) => OnWrite((written, _) => written == register);

    /// <summary>Does something once, with the queues set up and before the driver says DRIVER_OK.</summary>
    public void BeforeDriverOk(Action what)
    {
        bool done = false;
        OnWrite((register, value) =>
        {
            if (register == Register.Status && (value & DeviceStatus.DriverOk) != 0 && !done)
            {
                done = true;
                what();
            }
            return false;
        });
    }

    /// <summary>Changes a byte of a capability.</summary>
    public void SetCapability(ushort capability, int offset, byte value) => Function.Set8(capability + offset, value);

    /// <summary>Changes where a capability says its structure is.</summary>
    public void SetStructure(ushort capability, byte bar, uint offset, uint length)
    {
        Function.Set8(capability + 4, bar);
        Function.Set32(capability + 8, offset);
        Function.Set32(capability + 12, length);
    }

    /// <summary>Makes a capability one of a reserved type, as if it were not there.</summary>
    public void Hide(ushort capability) => Function.Set8(capability + 3, 0x77);

    /// <inheritdoc/>
    public void Dispose() => Machine.Dispose();

    /// <summary>Somebody who sleeps with no deadline and gets no interrupt sleeps for ever, which the clock finds.</summary>
    private bool Turn(Func<bool> done, ulong end, ulong wakeUp)
    {
        Device driver = InService!;
        while (!done())
        {
            if (Machine.Clock.Now >= end)
            {
                return false;
            }
            ulong deadline = driver.WantsPolling ? Machine.Clock.Now + PollingTime : driver.NextDeadline;
            Machine.Clock.WaitForInterrupt(Math.Min(deadline, wakeUp));
            if (driver.NextDeadline <= Machine.Clock.Now)
            {
                driver.OnDeadline(Machine.Clock.Now);
            }
            driver.Poll();
        }
        return true;
    }

    private static byte[] MakeContent()
    {
        byte[] content = new byte[Sectors * 512];
        new Random(1).NextBytes(content);
        return content;
    }

    private (byte[] Values, byte[] Writable)? Clone() =>
        AnyFunction?.Image is (byte[] values, byte[] writable) ? ((byte[])values.Clone(), (byte[])writable.Clone()) : null;
}
