// Interrupts, rights and absence of a function at their edges.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>Each of these keeps a mutant from surviving.</summary>
public sealed class FunctionEdgeTests : IDisposable
{
    private readonly FakeMachine _machine = new();
    private readonly FakePciFunction _fake = new(0x8086, 0x1234);

    [Theory]
    [InlineData(0, 1, 0)]
    [InlineData(1, 1, 1)]
    [InlineData(4, 1, 1)]
    [InlineData(5, 1, 0)]
    [InlineData(255, 1, 0)]
    [InlineData(1, 0, 0)] // nobody wants any
    public void A_pin_is_one_of_four_and_only_for_who_wants_it(byte pin, ushort wanted, ushort granted)
    {
        _fake.Set8(PciRegisters.InterruptPin, pin);
        Assert.Equal(granted, Plug().PrepareInterrupts(wanted, out InterruptKind kind));
        Assert.Equal(granted == 0 ? InterruptKind.None : InterruptKind.Pin, kind);
    }

    [Fact]
    public void The_pin_is_let_out_while_it_has_a_handler_and_never_otherwise()
    {
        _fake.Set8(PciRegisters.InterruptPin, 2);
        ScannedPciFunction function = Plug();
        const ushort others = PciRegisters.CommandMemory | 0x140;
        _fake.Set16(PciRegisters.Command, others | PciRegisters.CommandInterruptDisable);
        Assert.Equal(1, function.PrepareInterrupts(1, out _));
        Assert.False(function.TryAttachInterrupt(1, new NotedInterrupt()));
        Assert.Equal(others | PciRegisters.CommandInterruptDisable, _fake.Get16(PciRegisters.Command));
        Assert.True(function.TryAttachInterrupt(0, new NotedInterrupt()));
        Assert.Equal(others, _fake.Get16(PciRegisters.Command));
        Assert.False(function.TryAttachInterrupt(0, new NotedInterrupt())); // one handler is enough
        Assert.False(function.TryAttachInterrupt(1, new NotedInterrupt()));
        Assert.Equal(1, _machine.HandlerCount);
        function.ReleaseInterrupts();
        Assert.Equal(others | PciRegisters.CommandInterruptDisable, _fake.Get16(PciRegisters.Command));
        Assert.Equal(0, _machine.HandlerCount);
        _fake.Set16(PciRegisters.Command, others);
        function.ReleaseInterrupts();
        Assert.Equal(others, _fake.Get16(PciRegisters.Command)); // there was nothing to release
    }

    [Fact]
    public void Preparing_interrupts_again_gives_back_what_was_there()
    {
        _fake.Set8(PciRegisters.InterruptPin, 1);
        FakeMsi msi = new(_fake);
        ScannedPciFunction function = Plug();
        Assert.Equal(1, function.PrepareInterrupts(4, out InterruptKind kind));
        Assert.Equal(InterruptKind.Msi, kind);
        Assert.False(function.TryAttachInterrupt(1, new NotedInterrupt()));
        Assert.Equal(0, _fake.Get16(PciRegisters.Command) & PciRegisters.CommandInterruptDisable); // its pin is all that it has as yet
        Assert.True(function.TryAttachInterrupt(0, new NotedInterrupt()));
        Assert.NotEqual(0, _fake.Get16(PciRegisters.Command) & PciRegisters.CommandInterruptDisable);
        _machine.BestInterrupts = InterruptKind.Pin;
        Assert.Equal(1, function.PrepareInterrupts(4, out kind));
        Assert.Equal((InterruptKind.Pin, 0, false), (kind, _machine.HandlerCount, msi.IsEnabled));
        Assert.True(function.TryAttachInterrupt(0, new NotedInterrupt()));
        _machine.BestInterrupts = InterruptKind.None;
        Assert.Equal(0, function.PrepareInterrupts(4, out kind));
        Assert.Equal((InterruptKind.None, 0), (kind, _machine.HandlerCount));
        Assert.False(function.TryAttachInterrupt(0, new NotedInterrupt()));
    }

    [Fact]
    public void A_function_that_has_left_reads_as_all_ones_and_takes_no_writes()
    {
        ScannedPciFunction function = Plug();
        Assert.True(function.IsPresent);
        function.Leave();
        Assert.False(function.IsPresent);
        Assert.Equal((0xFF, 0xFFFF, 0xFFFF_FFFFu), (function.ReadConfig8(0), function.ReadConfig16(0), function.ReadConfig32(0)));
        int writes = 0;
        _fake.OnConfigWrite = (_, _, _) => ++writes > 0;
        function.WriteConfig8(PciRegisters.InterruptLine, 1);
        function.WriteConfig16(PciRegisters.Command, 1);
        function.WriteConfig32(PciRegisters.Bar0, 1);
        Assert.Equal(0, writes);
    }

    [Fact]
    public void Another_function_at_the_same_address_is_not_the_one_that_was_found()
    {
        ScannedPciFunction function = Plug();
        function.Identify();
        Assert.True(function.IsPresent);
        _fake.Set16(PciRegisters.DeviceId, 0x4321);
        Assert.False(function.IsPresent);
        _fake.Set16(PciRegisters.DeviceId, 0x1234);
        Assert.True(function.TryEnable());
        Assert.True(function.IsPresent);
        _fake.Set16(PciRegisters.Command, 0); // reset behind our back: it may not reach memory
        Assert.False(function.IsPresent);
        _fake.Set16(PciRegisters.Command, PciRegisters.CommandBusMaster);
        Assert.True(function.IsPresent);
        function.Disable();
        Assert.Equal(0, _fake.Get16(PciRegisters.Command) & PciRegisters.CommandBusMaster);
        Assert.True(function.IsPresent);
    }

    [Fact]
    public void What_the_machine_does_not_map_is_not_mapped_and_what_it_maps_is_mapped_once()
    {
        _fake.AddMemoryBar(0, new FakeMemoryBar(0x1000));
        _fake.AddPortBar(1, new FakeMemoryBar(0x20));
        ScannedPciFunction function = Plug();
        _machine.RefusesMemory = true;
        Assert.False(function.TryMapBar(0, out IoRegion? region));
        Assert.Null(region);
        Assert.True(function.TryMapBar(1, out IoRegion? ports));
        _machine.RefusesMemory = false;
        Assert.True(function.TryMapBar(0, out region));
        Assert.True(function.TryMapBar(0, out IoRegion? again) && ReferenceEquals(region, again));
        Assert.NotSame(ports, region);
        Assert.False(function.TryMapBar(2, out _));
        Assert.False(function.TryMapBar(6, out _));
        Assert.False(function.TryMapBar(-1, out _));
    }

    /// <inheritdoc/>
    public void Dispose() => _machine.Dispose();

    private ScannedPciFunction Plug()
    {
        _machine.Plug(_fake, 0, 3);
        return new ScannedPciFunction(_machine, _fake.Address);
    }
}
