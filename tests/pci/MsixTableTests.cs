// The MSI-X table: what is written into it, in which order, and what is left behind (PCI 3.0, 6.8.2).
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>A table in plain memory, of which every write is noted.</summary>
public sealed class MsixTableTests : IDisposable
{
    private const ushort Enabled = 0x8000;
    private const ushort MaskAll = 0x4000;

    private readonly FakeMachine _machine = new();
    private readonly FakePciFunction _fake = new(0x8086, 0x1234);
    private readonly NotingBar _bar = new();
    private readonly List<string> _writes = [];

    [Fact]
    public void The_table_is_turned_on_with_everything_masked_before_it_is_opened()
    {
        Add(size: 3, offset: 0x40, out ushort capability);
        MsixTable table = Create();
        Assert.Equal(3, table.Size);
        _writes.Clear();
        table.Enable();
        Assert.Equal(
            [$"control {Enabled | MaskAll | 2:X}", "4C 1", "5C 1", "6C 1", $"control {Enabled | 2:X}"],
            _writes);
        Assert.Equal(Enabled | 2, _fake.Get16(capability + 2));
    }

    [Fact]
    public void An_entry_is_written_as_a_whole_before_it_is_opened_and_masked_before_its_message_goes_back()
    {
        Add(size: 3, offset: 0x40, out ushort capability);
        _machine.MessageAddress = 0x34_FEE0_1000;
        _machine.NextMessage = 0x1_4020;
        MsixTable table = Create();
        table.Enable();
        _writes.Clear();
        NotedInterrupt handler = new();
        Assert.True(table.TryAttach(1, handler));
        Assert.Equal(["50 FEE01000", "54 34", "58 14020", "5C 0"], _writes);
        Assert.False(table.TryAttach(1, handler));
        Assert.False(table.TryAttach(3, handler));
        Assert.True(table.TryAttach(2, handler));
        Assert.Equal(2, _machine.HandlerCount);
        _writes.Clear();
        table.Release();
        Assert.Equal(["5C 1", "6C 1", "control 2"], _writes);
        Assert.Equal((0, 2), (_machine.HandlerCount, _fake.Get16(capability + 2)));
        _writes.Clear();
        table.Release();
        Assert.Equal(["control 2"], _writes);
        Assert.True(table.TryAttach(1, handler));
        table.Release();
    }

    [Fact]
    public void Without_a_message_the_entry_stays_as_it_is()
    {
        Add(size: 2, offset: 0, out _);
        MsixTable table = Create();
        table.Enable();
        _machine.Messages = 0;
        _writes.Clear();
        Assert.False(table.TryAttach(0, new NotedInterrupt()));
        Assert.Empty(_writes);
    }

    [Theory]
    [InlineData(0xF00, 16, true)] // to the last byte of the BAR
    [InlineData(0xF10, 16, false)]
    [InlineData(0xFF0, 1, true)]
    [InlineData(0x1000, 1, false)]
    public void A_table_that_does_not_lie_within_its_BAR_is_none(uint offset, int size, bool found)
    {
        Add(size, offset, out _);
        Assert.Equal(found, MsixTable.TryCreate(Plug(), _machine, out MsixTable? table));
        Assert.Equal(found, table is not null);
    }

    [Theory]
    [InlineData(244, true)] // the last place at which 12 bytes fit
    [InlineData(248, false)]
    [InlineData(252, false)]
    public void A_capability_that_does_not_lie_within_config_space_is_none(int place, bool found)
    {
        Add(size: 1, offset: 0, out _);
        _fake.Set8(PciRegisters.CapabilitiesPointer, (byte)place);
        _fake.Set8(place, PciRegisters.CapabilityMsix);
        if (place + 8 <= 256)
        {
            _fake.Set32(place + 4, 1);
        }
        Assert.Equal(found, MsixTable.TryCreate(Plug(), _machine, out _));
    }

    [Theory]
    [InlineData(0)] // ports
    [InlineData(3)] // nothing
    [InlineData(7)] // no BAR at all
    public void A_table_in_no_memory_BAR_is_none(uint bar)
    {
        _fake.AddPortBar(0, new FakeMemoryBar(0x100));
        Add(size: 1, offset: 0, out ushort capability);
        _fake.Set32(capability + 4, bar);
        Assert.False(MsixTable.TryCreate(Plug(), _machine, out _));
    }

    [Fact]
    public void A_function_without_the_capability_has_no_table() => Assert.False(MsixTable.TryCreate(Plug(), _machine, out _));

    /// <inheritdoc/>
    public void Dispose() => _machine.Dispose();

    private void Add(int size, uint offset, out ushort capability)
    {
        _bar.OnWrite = (place, value) => _writes.Add($"{place:X} {value:X}");
        _fake.AddMemoryBar(1, _bar);
        byte[] body = new byte[10];
        BitConverter.TryWriteBytes(body, (ushort)(size - 1));
        BitConverter.TryWriteBytes(body.AsSpan(2), offset | 1);
        ushort at = capability = _fake.AddCapability(PciRegisters.CapabilityMsix, body);
        _fake.Allow(at + 2, 2, 0xC000);
        _fake.OnConfigWrite = (register, _, value) =>
        {
            if (register == at + 2)
            {
                _writes.Add($"control {value:X}");
            }
            return false;
        };
    }

    private MsixTable Create()
    {
        Assert.True(MsixTable.TryCreate(Plug(), _machine, out MsixTable? table));
        return table!;
    }

    private ScannedPciFunction Plug()
    {
        _machine.Plug(_fake, 0, 3);
        return new ScannedPciFunction(_machine, _fake.Address);
    }

    private sealed class NotingBar : FakeBar
    {
        public Action<ulong, uint>? OnWrite { get; set; }

        public override ulong Length => 0x1000;

        public override uint Read(ulong offset, int width) => 0;

        public override void Write(ulong offset, int width, uint value) => OnWrite?.Invoke(offset, value);
    }
}
