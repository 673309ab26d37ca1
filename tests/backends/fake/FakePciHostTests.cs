// The contract of machines on the fake machine.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;

namespace VirtioSharp.Tests.Backends.Fake;

/// <summary>The fake machine with a disk.</summary>
public sealed class FakePciHostTests : PciHostContract
{
    /// <inheritdoc/>
    protected override PciHostBackend Open() => new Backend();

    private sealed class Backend : PciHostBackend
    {
        private readonly FakeMachine _machine = new();

        public Backend() => _machine.Plug(new FakeBlockDevice(16));

        public override PciHost Host => _machine;

        public override PciAddress EmptySlot => new(0, 0, 31, 0);

        public override ulong RamAddress => 0x0010_0000;

        public override void Dispose()
        {
            try
            {
                _machine.AssertNothingLeaked();
            }
            finally
            {
                _machine.Dispose();
            }
        }
    }
}
