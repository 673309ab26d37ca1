// What a machine is that says nothing but what it has to.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>The defaults of <see cref="PciHost"/>: one segment behind bus 0, firmware that has assigned everything, the best interrupts.</summary>
public sealed class BareHostTests
{
    [Fact]
    public void A_machine_has_one_root_bus_and_no_room_for_BARs_of_its_own()
    {
        using FakeMachine machine = new();
        PciHost host = new BareHost(machine);
        Assert.Equal((1, (byte)255, InterruptKind.MsiX, false), (host.SegmentCount, host.LastBus(0), host.BestInterruptKind, host.NeedsAssignment));
        Assert.True(host.IsRootBus(0, 0));
        Assert.False(host.IsRootBus(0, 1));
        Assert.False(host.TryAssignMemory(4096, out ulong address));
        Assert.Equal(0ul, address);
        Assert.Equal(0, PciScan.Run(host).Count);
    }

    private sealed class BareHost(FakeMachine machine) : PciHost
    {
        public override DmaSpace Dma => machine.Dma;

        public override Clock Clock => machine.Clock;

        public override ushort ConfigSpaceLength => 256;

        public override int MessagesLeft => 0;

        public override byte ReadConfig8(PciAddress function, ushort offset) => 0xFF;

        public override ushort ReadConfig16(PciAddress function, ushort offset) => 0xFFFF;

        public override uint ReadConfig32(PciAddress function, ushort offset) => 0xFFFF_FFFF;

        public override void WriteConfig8(PciAddress function, ushort offset, byte value)
        {
        }

        public override void WriteConfig16(PciAddress function, ushort offset, ushort value)
        {
        }

        public override void WriteConfig32(PciAddress function, ushort offset, uint value)
        {
        }

        public override bool TryMapMemory(ulong address, ulong length, out IoRegion? region)
        {
            region = null;
            return false;
        }

        public override bool TryMapPorts(ulong address, ulong length, out IoRegion? region)
        {
            region = null;
            return false;
        }

        public override bool TryAllocateMessage(InterruptHandler handler, out MsiMessage message)
        {
            message = default;
            return false;
        }

        public override void ReleaseMessage(in MsiMessage message)
        {
        }

        public override bool TryAttachPin(PciAddress function, InterruptHandler handler) => false;

        public override void DetachPin(PciAddress function, InterruptHandler handler)
        {
        }
    }
}
