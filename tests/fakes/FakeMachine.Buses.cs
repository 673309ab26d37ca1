// The buses of the fake machine: where functions are plugged, and which of them a config cycle reaches.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Fakes;

/// <summary>Buses by number, as firmware leaves them, and buses behind bridges, which are reached as the bridges let one.</summary>
public sealed partial class FakeMachine
{
    private readonly Dictionary<FakePciFunction, Func<ulong, uint, bool>> _users = [];
    private readonly List<FakePciFunction> _behind = [];

    /// <summary>The first buses of further host bridges of segment 0.</summary>
    public HashSet<byte> RootBuses { get; } = [];

    /// <summary>How many segments there are; each begins with bus 0.</summary>
    public int Segments { get; set; } = 1;

    /// <summary>The last bus that config space reaches, in each segment.</summary>
    public byte LastReachableBus { get; set; } = 255;

    /// <inheritdoc/>
    public override int SegmentCount => Segments;

    /// <inheritdoc/>
    public override byte LastBus(int segment) => LastReachableBus;

    /// <inheritdoc/>
    public override bool IsRootBus(int segment, byte bus) => bus == 0 || (segment == 0 && RootBuses.Contains(bus));

    /// <summary>Plugs a function in at an address.</summary>
    public T Plug<T>(T function, byte bus, byte device, byte number = 0, ushort segment = 0)
        where T : FakePciFunction
    {
        PciAddress address = new(segment, bus, device, number);
        _functions.Add(address, function);
        return Enter(function, address, null, byFirmware: true);
    }

    /// <summary>Plugs a function in behind a bridge, whatever the number of the bus there will be.</summary>
    public T PlugBehind<T>(FakePciBridge bridge, T function, byte device = 0, byte number = 0, bool byFirmware = true)
        where T : FakePciFunction
    {
        _behind.Add(function);
        return Enter(function, new PciAddress(0, 0, device, number), bridge, byFirmware && !HasRoomForBars);
    }

    /// <summary>Lets a function answer at a second address, as one does that does not look at the number of the function.</summary>
    public void Alias(FakePciFunction function, byte number) =>
        _functions.Add(new PciAddress(function.Address.Segment, function.Address.Bus, function.Address.Device, number), function);

    /// <summary>Takes a function out for good, and what is behind it.</summary>
    public void Unplug(FakePciFunction function)
    {
        function.IsPresent = false;
        foreach (FakePciFunction other in _behind.Where(other => other.Behind == function).ToArray())
        {
            Unplug(other);
        }
        _behind.Remove(function);
        _order.Remove(function);
        if (_users.Remove(function, out Func<ulong, uint, bool>? user))
        {
            FakeDma.Users.Remove(user);
        }
    }

    private T Enter<T>(T function, PciAddress address, FakePciBridge? bridge, bool byFirmware)
        where T : FakePciFunction
    {
        _order.Add(function);
        function.OnPlugged(this, address, bridge, byFirmware);
        FakeVirtioDevice? virtio = (function as FakeVirtioPciDevice)?.Device ?? (function as FakeLegacyPciDevice)?.Device;
        if (virtio is not null)
        {
            bool Uses(ulong start, uint length) => function.Answers && virtio.Queues.Any(queue => queue.UsesMemory(start, length));
            _users.Add(function, Uses);
            FakeDma.Users.Add(_users[function]);
        }
        return function;
    }

    /// <summary>The function that a config cycle reaches at this moment; two that both answer are a fault of who numbered the buses.</summary>
    private FakePciFunction? Find(PciAddress address)
    {
        FakePciFunction? found = _functions.TryGetValue(address, out FakePciFunction? there) && there.Answers ? there : null;
        foreach (FakePciFunction function in _behind)
        {
            if (function.Behind!.PassesBus(address.Bus) && function.IsPresent && function.IsPowered && function.Address.Equals(address))
            {
                Violations.Require(found is null, $"two functions answer on bus {address.Bus}: its number was given twice");
                found = function;
            }
        }
        return found;
    }
}
