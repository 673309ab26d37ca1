// Fuzzing of hot-plug: cards that come, go, are swapped and pulled at any moment, and slots and cards whose registers say anything.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using VirtioSharp.Tests.Pci;
using Xunit;

namespace VirtioSharp.Tests.Fuzz;

/// <summary>
/// Whatever happens to a slot: requests end once, and of cards that left nothing is left over, no memory, number, room, message or handler. A card
/// that behaves is taken into service afterwards.
/// </summary>
internal sealed class SlotTargets : IDisposable
{
    private const ulong LongEnough = 3_000_000_000;
    private const byte OtherRootBus = 0x40;

    private readonly FuzzInput _input;
    private readonly HotplugScene _scene;
    private readonly FakeVirtioPciDevice _neighbour;
    private readonly List<TestRequest> _taken = [];
    private readonly (int Devices, int Functions, int Bridges, int Handlers, int Messages, ulong Memory) _before;

    private SlotTargets(FuzzInput input)
    {
        _input = input;
        byte first = input.Next8();
        _scene = new HotplugScene(hasMsi: (first & 1) != 0);
        _scene.Machine.MayMiss = true;
        _scene.Machine.RootBuses.Add(OtherRootBus);
        _neighbour = _scene.Machine.Plug(HotplugScene.Disk(), OtherRootBus, 0); // nobody uses it: it is not to be touched
        if ((first & 2) != 0)
        {
            _scene.Port.Say(input.Next8() | 0x40u);
        }
        _scene.Watch();
        _before = Count();
        if ((first & 4) != 0)
        {
            _scene.Port.OnConfigRead = (offset, width, value) => offset >= 0x40 ? Lied(width, value) : value;
        }
    }

    private FakeRootPort Port => _scene.Port;

    /// <summary>One run.</summary>
    public static void Run(byte[] bytes)
    {
        using SlotTargets target = new(new FuzzInput(bytes));
        for (int step = 0; step < 40 && !target._input.IsEmpty; step++)
        {
            byte what = target._input.Next8();
            target.Do(what & 7, what >> 3);
        }
        target.Finish();
    }

    /// <inheritdoc/>
    public void Dispose() => _scene.Dispose();

    private void Do(int kind, int how)
    {
        switch (kind)
        {
            case 0 when Port.Card is null:
                PutIn(how);
                break;
            case 0 when how == 31:
                Port.Yank();
                PutIn(how ^ _input.Next8());
                break;
            case 1:
                Port.AskFor();
                break;
            case 2 when how >= 24:
                Port.Yank();
                break;
            case 2:
                Port.Flicker();
                break;
            case 3:
                Port.ChangeLink();
                break;
            case 4:
                _scene.Turn();
                break;
            case 5:
                _scene.Machine.FakeClock.Advance(how < 24 ? 100_000_000u : 1_100_000_000u);
                _scene.Devices.OnDeadline(_scene.Machine.Clock.Now);
                _scene.Turn();
                break;
            case 6 when _scene.Disks.FirstOrDefault() is VirtioBlk disk:
                if (_scene.TrySubmit(disk, (ulong)how % Math.Max(disk.SectorCount, 1), out TestRequest request))
                {
                    _taken.Add(request);
                    disk.Kick();
                }
                break;
            case 7 when how < 16:
                Port.CompletesCommands = (how & 1) != 0;
                break;
            case 7:
                Port.Complete();
                break;
        }
    }

    /// <summary>The slot is honest from here on: what is in it settles, then it is pulled, and what it had is there for the next one.</summary>
    private void Finish()
    {
        Port.OnConfigRead = null;
        Port.CompletesCommands = true;
        Port.Complete();
        _scene.Pass(LongEnough);
        Port.Yank();
        _scene.Pass(LongEnough);
        Assert.True(_taken.TrueForAll(request => request.Completions == 1), "a request ended twice or never");
        Assert.Equal(_before, Count());
        Assert.Equal(0, _neighbour.Device.Resets);
        Port.Insert(HotplugScene.Disk());
        _scene.Pass(LongEnough);
        Assert.True(_scene.Devices.Count == _before.Devices + 1, "after all that a card that behaves is not taken into service");
        _scene.Read(_scene.TheDisk);
    }

    private (int Devices, int Functions, int Bridges, int Handlers, int Messages, ulong Memory) Count() =>
        (_scene.Devices.Count, _scene.Functions.Count, _scene.Functions.BridgeCount, _scene.Machine.HandlerCount, _scene.Machine.Messages,
            _scene.MayKeepMemory ? 0 : _scene.Machine.FakeDma.AllocatedBytes - _scene.BufferBytes);

    private void PutIn(int how)
    {
        switch (how >> 1 & 3)
        {
            case 3:
                PutInNonsense();
                break;
            case 2:
                PutInTraitor();
                break;
            default:
                FakeVirtioPciDevice card = HotplugScene.Disk();
                // What it is, and nothing of where something is, or whether it is there: those are for the cards below.
                card.OnConfigRead = (how & 1) != 0 ? (offset, width, value) => offset is < 6 or >= 0x10 ? value : Lied(width, value) : null;
                Port.Insert(card);
                break;
        }
    }

    /// <summary>
    /// A disk that lies about its ids or its command register once, and leaves in that moment, or makes room for another card: one that says so is
    /// believed, and what it was lent is given back.
    /// </summary>
    private void PutInTraitor()
    {
        FakeVirtioPciDevice card = HotplugScene.Disk();
        int readsLeft = _input.Next8();
        bool leaves = (readsLeft & 1) != 0;
        card.OnConfigRead = (offset, width, value) =>
        {
            uint said = offset < 6 ? Lied(width, value) : value;
            if ((said == value && --readsLeft != 0) || Port.Card != card)
            {
                return value;
            }
            Port.Yank();
            if (!leaves)
            {
                Port.Insert(HotplugScene.Disk());
            }
            return said;
        };
        Port.Insert(card);
    }

    /// <summary>
    /// A card of which nothing is certain, from its ids to its capabilities, and which may have several functions. Its registers are plain memory.
    /// </summary>
    private void PutInNonsense()
    {
        byte what = _input.Next8();
        Port.Insert(Nonsense(what));
        for (byte number = 1; number < 8 && (what & 0x80) != 0; number++)
        {
            byte more = _input.Next8();
            if ((more & 0xC0) != 0)
            {
                Port.AddFunction(Nonsense(more), number);
            }
        }
    }

    private FakePciFunction Nonsense(byte what)
    {
        bool hasOddIds = (what & 0x30) == 0x30;
        FakePciFunction function = new(hasOddIds ? _input.Next16() : (ushort)0x1AF4, hasOddIds ? (ushort)(0x1000 + _input.Next8()) : (ushort)0x1042);
        byte header = (what & 0x0C) == 0x0C ? _input.Next8() : (byte)0;
        function.Set8(PciRegisters.HeaderType, (byte)(header & 0x7F | what & PciRegisters.HeaderMultifunction));
        function.Set8(PciRegisters.RevisionId, 1);
        if ((header & PciRegisters.HeaderLayoutMask) == PciRegisters.HeaderBridge)
        {
            function.Set32(PciRegisters.PrimaryBus, _input.Next32());
            function.Set32(PciRegisters.MemoryBase, _input.Next32());
            function.Allow(PciRegisters.PrimaryBus, 3, _input.Next8() * 0x01_0101u);
            function.Allow(PciRegisters.MemoryBase, 4, (_input.Next8() & 1) != 0 ? 0xFFF0_FFF0 : 0);
        }
        else
        {
            ProbeTargets.AddBars(function, _input, (byte)(_input.Next8() & ~8));
        }
        function.Set8(PciRegisters.InterruptPin, _input.Next8());
        for (byte type = 1; type <= 5; type++)
        {
            AddCapability(function, type);
        }
        if ((what & 2) != 0)
        {
            _scene.MayKeepMemory = true; // it may say that it is not out of reset
            function.LiesAboutLayout = true;
            function.OnConfigRead = (_, width, value) => Lied(width, value);
        }
        return function;
    }

    private void AddCapability(FakePciFunction function, byte type)
    {
        byte kind = _input.Next8();
        if ((kind & 0xC0) == 0xC0)
        {
            _ = (kind & 0x20) != 0 ? ProbeTargets.AddVirtio(function, _input, _input.Next8()) : ProbeTargets.AddOther(function, _input, kind);
            return;
        }
        if (type == 5)
        {
            return;
        }
        byte[] body = new byte[type == 2 ? 18 : 14];
        uint[] offsets = [0, 0x3000, 0x1000, 0x2000];
        body[0] = (byte)(body.Length + 2);
        body[1] = type;
        BitConverter.TryWriteBytes(body.AsSpan(6), offsets[type - 1]);
        BitConverter.TryWriteBytes(body.AsSpan(10), 0x1000);
        function.AddCapability(PciRegisters.CapabilityVendor, body);
    }

    private uint Lied(int width, uint value) =>
        (_input.Next8() & 15) == 15 ? _input.NextInteresting(value) & uint.MaxValue >> (32 - 8 * width) : value;
}
