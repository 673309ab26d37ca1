// MSI: where its registers are, which messages it can send, and what is left behind.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>The capability in all its lengths (PCI 3.0, 6.8.1).</summary>
public sealed class MsiCapabilityTests : IDisposable
{
    private readonly FakeMachine _machine = new();
    private readonly FakePciFunction _fake = new(0x8086, 0x1234);
    private readonly NotedInterrupt _handler = new();

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void The_message_is_written_where_the_form_of_the_capability_has_it(bool is64Bit, bool hasMasks)
    {
        FakeMsi msi = new(_fake, is64Bit, hasMasks);
        _machine.MessageAddress = is64Bit ? 0x12_FEE0_0000ul : 0xFEE0_0000;
        _machine.NextMessage = 0xFFFF;
        if (hasMasks)
        {
            _fake.Set32(msi.Capability + (is64Bit ? 16 : 12), 0xFFFF_FFFF); // as a cautious firmware leaves them
        }
        MsiCapability capability = Find();
        Assert.True(capability.TryAttach(_handler));
        Assert.False(capability.TryAttach(_handler));
        Assert.Equal(0xFEE0_0000u, _fake.Get32(msi.Capability + 4));
        Assert.True(!is64Bit || _fake.Get32(msi.Capability + 8) == 0x12);
        Assert.Equal(0xFFFF, _fake.Get16(msi.Capability + (is64Bit ? 12 : 8)));
        Assert.True(!hasMasks || _fake.Get32(msi.Capability + (is64Bit ? 16 : 12)) == 0xFFFF_FFFE);
        Assert.True(msi.IsEnabled);
        msi.Raise();
        Assert.True(_handler.Take());
        capability.Release();
        Assert.False(msi.IsEnabled);
        Assert.Equal(0, _machine.HandlerCount);
        capability.Release();
        Assert.True(capability.TryAttach(_handler) || _machine.NextMessage > 0xFFFF);
        capability.Release();
        Assert.Equal(0, _machine.HandlerCount);
    }

    [Theory]
    [InlineData(false, 0x1_0000_0000, 0x20, false)]
    [InlineData(false, 0xFFFF_FFFC, 0x20, true)]
    [InlineData(true, 0x1_0000_0000, 0x20, true)]
    [InlineData(true, 0xFEE0_0000, 0x10000, false)]
    [InlineData(false, 0xFEE0_0000, 0x10000, false)]
    [InlineData(true, 0xFEE0_0000, 0xFFFF, true)]
    public void A_message_that_the_function_can_not_send_is_given_back(bool is64Bit, ulong address, uint data, bool fits)
    {
        FakeMsi msi = new(_fake, is64Bit);
        _machine.MessageAddress = address;
        _machine.NextMessage = data;
        MsiCapability capability = Find();
        Assert.Equal(fits, capability.TryAttach(_handler));
        Assert.Equal(fits, msi.IsEnabled);
        Assert.Equal(fits ? 1 : 0, _machine.HandlerCount);
        capability.Release();
    }

    [Fact]
    public void Without_a_message_MSI_stays_off()
    {
        FakeMsi msi = new(_fake);
        _machine.Messages = 0;
        Assert.False(Find().TryAttach(_handler));
        Assert.False(msi.IsEnabled);
    }

    [Theory]
    [InlineData(0, 0, true)] // the last place at which each form fits: 10, 14, 20 and 24 bytes, aligned to 4
    [InlineData(0, 4, false)]
    [InlineData(0x80, 0, true)]
    [InlineData(0x80, 4, false)]
    [InlineData(0x100, 0, true)]
    [InlineData(0x100, 4, false)]
    [InlineData(0x180, 0, true)]
    [InlineData(0x180, 4, false)]
    public void A_capability_that_does_not_lie_within_config_space_is_none(ushort control, int behind, bool found)
    {
        int length = 10 + ((control & 0x80) != 0 ? 4 : 0) + ((control & 0x100) != 0 ? 10 : 0);
        int last = (256 - length) & ~3;
        int place = Math.Min(last + behind, 252);
        PutAt(place, control);
        Assert.Equal(found, MsiCapability.TryFind(Plug(), _machine, out MsiCapability? capability));
        Assert.Equal(found, capability is not null);
    }

    /// <inheritdoc/>
    public void Dispose() => _machine.Dispose();

    private void PutAt(int place, ushort control)
    {
        _fake.Set8(PciRegisters.CapabilitiesPointer, (byte)place);
        _fake.Set16(PciRegisters.Status, PciRegisters.StatusCapabilities);
        _fake.Set8(place, PciRegisters.CapabilityMsi);
        _fake.Set16(place + 2, control);
    }

    private MsiCapability Find()
    {
        Assert.True(MsiCapability.TryFind(Plug(), _machine, out MsiCapability? capability));
        return capability!;
    }

    private ScannedPciFunction Plug()
    {
        _machine.Plug(_fake, 0, 3);
        return new ScannedPciFunction(_machine, _fake.Address);
    }
}
