// Device misbehaviour as data: one name, one deviation, one expectation.
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Hostile;

/// <summary>What the drivers have to make of it.</summary>
public enum Outcome
{
    /// <summary>Everything works.</summary>
    Works,

    /// <summary>The scan does not find the function.</summary>
    NotFound,

    /// <summary>No driver takes the function.</summary>
    Ignored,

    /// <summary>The probe fails with a reason; the device is left quiet and nothing leaks.</summary>
    Refused,

    /// <summary>The requests that were hit end with an error; the device stays in service.</summary>
    Fails,

    /// <summary>The device is given up: everything in flight ends with an error, and nothing more is taken.</summary>
    Breaks,

    /// <summary>The same, after the deadline.</summary>
    TimesOut,

    /// <summary>Each request ends once, and none of them well with data that is wrong.</summary>
    Contained,

    /// <summary>The disk is in service and has no sector.</summary>
    Empty,
}

/// <summary>The rings in which a deviation makes sense.</summary>
public enum FaultRing
{
    /// <summary>Both formats.</summary>
    Both,

    /// <summary>The split format only.</summary>
    Split,

    /// <summary>The packed format only.</summary>
    Packed,
}

/// <summary>One deviation.</summary>
/// <param name="Id">The name in the list of hostile cases, with a letter where one of them has several forms.</param>
/// <param name="Story">What the device does.</param>
/// <param name="Expected">What has to come of it.</param>
/// <param name="Arrange">Makes the device do it.</param>
public sealed record FaultCase(string Id, string Story, Outcome Expected, Action<FaultScene> Arrange)
{
    /// <summary>The requirements of the specification that the case is about, with spaces between.</summary>
    public string Requirements { get; init; } = "";

    /// <summary>The rings in which it makes sense.</summary>
    public FaultRing Ring { get; init; }

    /// <summary>True when memory may be given up: the device never came out of reset.</summary>
    public bool MayLeak { get; init; }

    /// <summary>True when it makes sense with MSI-X only.</summary>
    public bool NeedsMsix { get; init; }

    /// <summary>True when it makes sense with a pin only.</summary>
    public bool NeedsPin { get; init; }
}

/// <summary>The stage: a machine with one disk that was not probed yet.</summary>
public sealed class FaultScene
{
    private readonly FakeVirtioPciDevice? _modern;
    private readonly FakeLegacyPciDevice? _legacy;

    /// <summary>Makes the stage.</summary>
    public FaultScene(bool withMsix, bool packed = false, uint notifyMultiplier = 4, bool legacy = false)
    {
        Disk = new FakeBlockDevice(256);
        Disk.OfferedFeatures |= packed ? FakeVirtioDevice.RingPacked : 0;
        new Random(1).NextBytes(Disk.Disk);
        ushort vectors = withMsix ? (ushort)4 : (ushort)0;
        if (legacy)
        {
            _legacy = Machine.Plug(new FakeLegacyPciDevice(Disk, vectors), 0, 3);
        }
        else
        {
            _modern = Machine.Plug(new FakeVirtioPciDevice(Disk, vectors, hasPin: true, notifyMultiplier), 0, 3);
        }
    }

    /// <summary>The machine.</summary>
    public FakeMachine Machine { get; } = new();

    /// <summary>The disk.</summary>
    public FakeBlockDevice Disk { get; }

    /// <summary>The disk's PCI function, with the modern interface.</summary>
    public FakeVirtioPciDevice Function => _modern ?? throw new InvalidOperationException("the case needs the modern interface");

    /// <summary>The disk's PCI function, with the legacy interface.</summary>
    public FakeLegacyPciDevice LegacyFunction => _legacy ?? throw new InvalidOperationException("the case needs the legacy interface");

    /// <summary>The disk's PCI function.</summary>
    public FakePciFunction AnyFunction => (FakePciFunction?)_modern ?? LegacyFunction;

    /// <summary>The disk's queue.</summary>
    public FakeVirtqueue Queue => Disk.Queues[0];

    /// <summary>Called with all requests submitted and kicked, and taken by the device when that holds back.</summary>
    public Action? DuringRequests { get; set; }

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

    /// <summary>Sends the queue's interrupt whatever the ring says.</summary>
    public void Interrupt()
    {
        _modern?.RaiseQueue(Queue.Vector);
        _legacy?.RaiseQueue(Queue.Vector);
    }

    /// <summary>Changes a byte of a capability.</summary>
    public void SetCapability(ushort capability, int offset, byte value) => Function.Set8(capability + offset, value);

    /// <summary>Changes where a capability says its structure is.</summary>
    public void Place(ushort capability, byte bar, uint offset, uint length)
    {
        Function.Set8(capability + 4, bar);
        Function.Set32(capability + 8, offset);
        Function.Set32(capability + 12, length);
    }

    /// <summary>Makes a capability one of a reserved type, as if it were not there.</summary>
    public void Hide(ushort capability) => Function.Set8(capability + 3, 0x77);

    /// <summary>Shows another value in a common register.</summary>
    public void Show(uint register, uint value) => Function.OnReadCommon = (offset, _, right) => offset == register ? value : right;
}
