// A whole machine without hardware: config space, BARs, messages and pins, all strict.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Fakes;

/// <summary>
/// A <see cref="PciHost"/> for tests. Everything happens in the calling thread and in the same order every time: devices work in
/// <see cref="Run"/> or while somebody waits. Dispose it at the end of each test: it fails the test when a rule was broken.
/// </summary>
public sealed partial class FakeMachine : PciHost, IDisposable
{
    /// <summary>Addresses from here to <see cref="RamEnd"/> are RAM, besides everything below <see cref="LowRamEnd"/>.</summary>
    public const ulong RamStart = FakeDma.FirstAddress;

    /// <summary>The end of high RAM.</summary>
    public const ulong RamEnd = 0x20_0000_0000;

    /// <summary>The end of low RAM.</summary>
    public const ulong LowRamEnd = 0x8000_0000;

    /// <summary>The first address that the processor can't form.</summary>
    public const ulong PhysicalEnd = 1ul << 40;

    private const ulong ChipsetStart = 0xFEC0_0000; // I/O APIC and local APIC
    private const ulong ChipsetEnd = 0x1_0000_0000;
    private const ulong ConfigStart = 0xB000_0000; // ECAM
    private const ulong ConfigEnd = 0xC000_0000;
    private const int MaxRounds = 100_000;

    private readonly Dictionary<PciAddress, FakePciFunction> _functions = [];
    private readonly List<FakePciFunction> _order = [];
    private readonly Dictionary<(ulong, uint), InterruptHandler> _messages = [];
    private readonly Dictionary<PciAddress, List<InterruptHandler>> _pins = [];
    private readonly List<FakeMmioDevice> _platform = [];
    private ulong _nextLowMemory = 0xE000_0000;
    private ulong _nextHighMemory = 0x80_0000_0000;
    private ulong _nextPorts = 0xC000;
    private bool _interrupted;

    /// <summary>Makes an empty machine.</summary>
    public FakeMachine()
    {
        TestContract.Use();
        FakeDma = new FakeDma(Violations);
        FakeClock = new FakeClock(this);
    }

    /// <summary>The rules that were broken.</summary>
    public ViolationLog Violations { get; } = new();

    /// <summary>The machine's memory.</summary>
    public FakeDma FakeDma { get; }

    /// <summary>The machine's time.</summary>
    public FakeClock FakeClock { get; }

    /// <inheritdoc/>
    public override DmaSpace Dma => FakeDma;

    /// <inheritdoc/>
    public override Clock Clock => FakeClock;

    /// <inheritdoc/>
    public override ushort ConfigSpaceLength => 4096;

    /// <summary>True when devices work while somebody waits; false when only <see cref="Run"/> lets them.</summary>
    public bool RunsWhileWaiting { get; set; } = true;

    /// <summary>True when an access that nobody answers reads as all ones, as on real hardware, instead of failing the test.</summary>
    public bool MayMiss { get; set; }

    /// <inheritdoc/>
    public override int MessagesLeft => Messages;

    /// <summary>How many more messages can be handed out.</summary>
    public int Messages { get; set; } = 64;

    /// <summary>Where messages go to.</summary>
    public ulong MessageAddress { get; set; } = 0xFEE0_0000;

    /// <summary>The data of the next message that is handed out.</summary>
    public uint NextMessage { get; set; } = 0x4020;

    /// <inheritdoc/>
    public override InterruptKind BestInterruptKind => BestInterrupts;

    /// <summary>The best kind of interrupt that the machine lets its functions use.</summary>
    public InterruptKind BestInterrupts { get; set; } = InterruptKind.MsiX;

    /// <summary>True when pins lead somewhere.</summary>
    public bool HasPins { get; set; } = true;

    /// <summary>True when the machine has room for BARs that no firmware assigned.</summary>
    public bool HasRoomForBars { get; set; }

    /// <summary>True when the machine has port space.</summary>
    public bool HasPorts { get; set; } = true;

    /// <summary>True when no memory of devices can be mapped.</summary>
    public bool RefusesMemory { get; set; }

    /// <summary>How many handlers are registered at the moment, for messages and pins.</summary>
    public int HandlerCount =>
        _messages.Count + _pins.Values.Distinct().Sum(handlers => handlers.Count) + _platform.Count(device => device.Handler is not null);

    /// <summary>How many interrupts were delivered.</summary>
    public int Interrupts { get; private set; }

    /// <summary>The functions in the order in which they were plugged.</summary>
    public IReadOnlyList<FakePciFunction> Functions => _order;

    /// <summary>Plugs a virtio device in on the next free slot of bus 0, behind modern PCI.</summary>
    public FakeVirtioPciDevice Plug(FakeVirtioDevice device)
    {
        byte slot = 1;
        while (_functions.ContainsKey(new PciAddress(0, 0, slot, 0)))
        {
            slot++;
        }
        return Plug(new FakeVirtioPciDevice(device), 0, slot);
    }

    /// <summary>Adds a device that is on no bus.</summary>
    public FakeMmioDevice Plug(FakeMmioDevice device)
    {
        _platform.Add(device);
        FakeDma.Users.Add((start, length) => device.Device.Queues.Any(queue => queue.UsesMemory(start, length)));
        return device;
    }

    /// <summary>Pulls a function out without asking: from here on it reads as all ones.</summary>
    public void Pull(FakePciFunction function) => function.IsPresent = false;

    /// <summary>Lets all devices work until none has anything to do.</summary>
    public void Run()
    {
        bool any = true;
        for (int round = 0; any; round++)
        {
            Violations.Require(round < MaxRounds, "the devices never come to rest");
            any = false;
            foreach (FakePciFunction function in _order.ToArray())
            {
                any |= function.Answers && function.Run();
            }
            foreach (FakeMmioDevice device in _platform)
            {
                any |= device.Device.Run();
            }
        }
    }

    /// <summary>True when an interrupt was delivered since the last call.</summary>
    public bool TakeInterrupted()
    {
        bool interrupted = _interrupted;
        _interrupted = false;
        return interrupted;
    }

    /// <inheritdoc/>
    public override byte ReadConfig8(PciAddress function, ushort offset) => (byte)ReadConfig(function, offset, 1);

    /// <inheritdoc/>
    public override ushort ReadConfig16(PciAddress function, ushort offset) => (ushort)ReadConfig(function, offset, 2);

    /// <inheritdoc/>
    public override uint ReadConfig32(PciAddress function, ushort offset) => ReadConfig(function, offset, 4);

    /// <inheritdoc/>
    public override void WriteConfig8(PciAddress function, ushort offset, byte value) => WriteConfig(function, offset, 1, value);

    /// <inheritdoc/>
    public override void WriteConfig16(PciAddress function, ushort offset, ushort value) => WriteConfig(function, offset, 2, value);

    /// <inheritdoc/>
    public override void WriteConfig32(PciAddress function, ushort offset, uint value) => WriteConfig(function, offset, 4, value);

    /// <inheritdoc/>
    public override bool NeedsAssignment => HasRoomForBars;

    /// <inheritdoc/>
    public override bool TryAssignMemory(ulong length, out ulong address)
    {
        address = (_nextLowMemory + length - 1) & ~(length - 1);
        bool found = HasRoomForBars && length <= ChipsetStart && address <= ChipsetStart - length;
        address = found ? AssignMemory(length, high: false) : 0;
        return found;
    }

    /// <inheritdoc/>
    public override bool TryMapMemory(ulong address, ulong length, out IoRegion? region)
    {
        region = null;
        if (RefusesMemory || length == 0 || address + length < address || address + length > PhysicalEnd ||
            Overlaps(address, length, 0, LowRamEnd) || Overlaps(address, length, RamStart, RamEnd) ||
            Overlaps(address, length, ChipsetStart, ChipsetEnd) || Overlaps(address, length, ConfigStart, ConfigEnd))
        {
            return false;
        }
        region = new FakeIoRegion(this, address, length, isPorts: false);
        return true;
    }

    /// <inheritdoc/>
    public override bool TryMapPorts(ulong address, ulong length, out IoRegion? region)
    {
        region = null;
        if (!HasPorts || length == 0 || address >= 0x10000 || length > 0x10000 - address)
        {
            return false;
        }
        region = new FakeIoRegion(this, address, length, isPorts: true);
        return true;
    }

    /// <inheritdoc/>
    public override bool TryAllocateMessage(InterruptHandler handler, out MsiMessage message)
    {
        message = default;
        if (Messages == 0)
        {
            return false;
        }
        Messages--;
        message = new MsiMessage(MessageAddress, NextMessage++);
        _messages.Add((message.Address, message.Data), handler);
        return true;
    }

    /// <inheritdoc/>
    public override void ReleaseMessage(in MsiMessage message)
    {
        Violations.Require(_messages.Remove((message.Address, message.Data)), "a message was released that nobody was given");
        Messages++;
    }

    /// <inheritdoc/>
    public override bool TryAttachPin(PciAddress function, InterruptHandler handler)
    {
        if (!HasPins)
        {
            return false;
        }
        if (!_pins.TryGetValue(function, out List<InterruptHandler>? handlers))
        {
            _pins.Add(function, handlers = []);
        }
        handlers.Add(handler);
        return true;
    }

    /// <inheritdoc/>
    public override void DetachPin(PciAddress function, InterruptHandler handler) =>
        Violations.Require(
            _pins.TryGetValue(function, out List<InterruptHandler>? handlers) && handlers.Remove(handler),
            "a pin was detached that was not attached");

    /// <summary>A device sends a message.</summary>
    public void DeliverMessage(ulong address, uint data)
    {
        if (!_messages.TryGetValue((address, data), out InterruptHandler? handler))
        {
            Violations.Break($"a vector is open with the message 0x{data:X} to 0x{address:X}, which belongs to nobody");
        }
        Deliver(handler);
    }

    /// <summary>Wires the pins of two functions together.</summary>
    public void SharePin(FakePciFunction first, FakePciFunction second)
    {
        List<InterruptHandler> handlers = [];
        _pins[first.Address] = handlers;
        _pins[second.Address] = handlers;
    }

    /// <summary>A device holds its pin up: handlers are called until it is down again, as on a level-triggered line.</summary>
    public void DeliverPin(FakePciFunction function)
    {
        for (int round = 0; function.IsPinUp; round++)
        {
            if (!_pins.TryGetValue(function.Address, out List<InterruptHandler>? handlers) || handlers.Count == 0)
            {
                return; // nobody listens: the line stays masked at the interrupt controller
            }
            Violations.Require(round < 100, "the pin stays up whatever its handlers do");
            foreach (InterruptHandler handler in handlers.ToArray())
            {
                Deliver(handler);
            }
        }
    }

    /// <summary>Another device at the pin of a function interrupts, which is not there itself: says how many handlers took it for theirs.</summary>
    public int DeliverFromNeighbour(FakePciFunction function) => _pins[function.Address].ToArray().Count(Deliver);

    /// <summary>Calls a handler, as an interrupt would; true when it was the handler's.</summary>
    public bool Deliver(InterruptHandler handler)
    {
        Interrupts++;
        _interrupted = true;
        return handler.OnInterrupt();
    }

    /// <summary>Room for a BAR, as firmware would assign it.</summary>
    public ulong AssignMemory(ulong length, bool high)
    {
        ref ulong next = ref high ? ref _nextHighMemory : ref _nextLowMemory;
        ulong address = (next + length - 1) & ~(length - 1);
        next = address + length;
        return address;
    }

    /// <summary>Room for a port BAR, as firmware would assign it.</summary>
    public ulong AssignPorts(ulong length)
    {
        ulong address = (_nextPorts + length - 1) & ~(length - 1);
        _nextPorts = address + length;
        return address;
    }

    /// <summary>The function that answers at an address at this moment, and where in which of its BARs.</summary>
    internal FakeBar? FindBar(ulong address, bool isPorts, out FakePciFunction? owner, out ulong offset)
    {
        foreach (FakePciFunction function in _order)
        {
            if (function.TryDecode(address, isPorts, out FakeBar? bar, out offset))
            {
                owner = function;
                return bar;
            }
        }
        owner = null;
        offset = 0;
        return null;
    }

    /// <summary>Fails when a rule was broken, then frees the memory.</summary>
    public void Dispose()
    {
        FakeDma.Dispose();
        Violations.AssertEmpty();
    }

    /// <summary>Fails when memory, lent ranges or interrupt handlers are left over.</summary>
    public void AssertNothingLeaked()
    {
        FakeDma.AssertNothingLeaked();
        Xunit.Assert.True(HandlerCount == 0, $"{HandlerCount} interrupt handlers are still registered");
    }

    private static bool Overlaps(ulong address, ulong length, ulong start, ulong end) => address < end && start < address + length;

    private uint ReadConfig(PciAddress address, ushort offset, int width)
    {
        CheckConfig(offset, width);
        return Find(address) is FakePciFunction function ? function.ReadConfig(offset, width) : uint.MaxValue;
    }

    private void WriteConfig(PciAddress address, ushort offset, int width, uint value)
    {
        CheckConfig(offset, width);
        Find(address)?.WriteConfig(offset, width, value);
    }

    private void CheckConfig(ushort offset, int width) =>
        Violations.Require(
            offset % width == 0 && offset + width <= ConfigSpaceLength,
            $"a config access of {width} bytes at 0x{offset:X} is not aligned or lies outside");
}
