// The table of devices in service, and the registry that fills it.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>Many devices, their order, and what is asked of all of them.</summary>
public sealed class DeviceTableTests : IDisposable
{
    private const int Many = 40; // more than there is room for at first

    private readonly FakeMachine _machine = new();
    private readonly DeviceTable _table = new();

    [Fact]
    public void Many_devices_come_and_go_and_the_others_keep_their_order()
    {
        List<Device> devices = [.. Enumerable.Range(0, Many).Select(_ => new TestDevice())];
        for (int i = 0; i < Many; i++)
        {
            _table.Add(devices[i]);
            Assert.Equal((i + 1, (ulong)i + 1), (_table.Count, _table.Changes));
        }
        foreach (int gone in (int[])[Many - 1, 0, 7, 20])
        {
            ulong changes = _table.Changes;
            Assert.True(_table.Remove(devices[gone]));
            devices.RemoveAt(gone);
            Assert.Equal(changes + 1, _table.Changes);
            Assert.Equal(devices, Enumerable.Range(0, _table.Count).Select(i => _table[i]));
        }
        Assert.False(_table.Remove(new TestDevice()));
        Assert.Equal(Many + 4ul, _table.Changes);
    }

    [Fact]
    public void A_full_table_can_lose_any_device()
    {
        Device[] devices = [.. Enumerable.Range(0, 8).Select(_ => new TestDevice())];
        Array.ForEach(devices, _table.Add);
        Assert.False(_table.Remove(new TestDevice()));
        Assert.True(_table.Remove(devices[3]));
        Assert.Equal([devices[0], devices[1], devices[2], devices[4], devices[5], devices[6], devices[7]], Enumerable.Range(0, 7).Select(i => _table[i]));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(int.MaxValue)]
    public void An_index_beyond_the_devices_is_a_bug_of_the_caller(int index)
    {
        _table.Add(new TestDevice());
        Assert.Throws<ContractException>(() => _table[index]);
    }

    [Fact]
    public void Polling_is_wanted_while_one_device_wants_it()
    {
        Assert.False(_table.WantsPolling());
        TestDevice[] devices = [.. Enumerable.Range(0, 8).Select(_ => new TestDevice())];
        Array.ForEach(devices, _table.Add);
        Assert.False(_table.WantsPolling());
        foreach (TestDevice device in devices)
        {
            device.Wants = true;
            Assert.True(_table.WantsPolling());
            device.Wants = false;
        }
        Assert.False(_table.WantsPolling());
        _table.Poll();
        Assert.All(devices, device => Assert.Equal(1, device.Polls));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 0)]
    [InlineData(1, 1)]
    [InlineData(3, 1)]
    [InlineData(3, 3)]
    public void A_device_that_goes_while_all_are_polled_makes_nobody_be_left_out(int who, int whom)
    {
        TestDevice[] devices = [.. Enumerable.Range(0, 4).Select(_ => new TestDevice())];
        Array.ForEach(devices, _table.Add);
        devices[who].OnPoll = () => _table.Remove(devices[whom]);
        _table.Poll();
        Assert.All(devices.Where((_, i) => i != whom || i >= who), device => Assert.InRange(device.Polls, 1, 2));
        Assert.Equal(3, _table.Count);
    }

    [Fact]
    public void Those_are_called_whose_deadline_has_come_and_the_earliest_is_known()
    {
        Assert.Equal(ulong.MaxValue, _table.NextDeadline());
        TestDevice[] devices = [new() { Deadline = 11 }, new() { Deadline = 10 }, new() { Deadline = 9 }];
        Array.ForEach(devices, _table.Add);
        Assert.Equal(9ul, _table.NextDeadline());
        _table.OnDeadline(10);
        Assert.Equal([0, 1, 1], devices.Select(device => device.Deadlines));
    }

    [Fact]
    public void The_first_driver_that_matches_probes_and_its_answer_counts()
    {
        DriverRegistry registry = new(_table);
        for (ushort i = 0; i < 10; i++)
        {
            registry.Add(new TestDriver(i));
        }
        registry.Add(new TestDriver(9));
        for (byte i = 0; i < 10; i++)
        {
            _machine.Plug(new FakePciFunction(0x1234, i), 0, (byte)(i + 1));
        }
        _machine.Plug(new FakePciFunction(0x1234, 99), 0, 20);
        PciScan scan = PciScan.Run(_machine);
        Assert.Equal(11, scan.Count);
        for (int i = 0; i < 10; i++)
        {
            Assert.True(registry.Attach(scan[i]).IsBound);
            Assert.Equal(i + 1, _table.Count);
            Assert.Equal(i, ((TestDevice)_table[i]).Id);
        }
        Assert.Equal(ProbeStatus.NotMine, registry.Attach(scan[10]).Status);
        Assert.Equal(10, _table.Count);
        // All of them lie on bus 0: another bus, or another segment, takes none along.
        Assert.Equal(0, registry.Detach(0, 1, 255));
        Assert.Equal(0, registry.Detach(1, 0, 255));
        List<TestDevice> devices = [.. Enumerable.Range(0, 10).Select(i => (TestDevice)_table[i])];
        Assert.Equal(10, registry.Detach(0, 0, 0));
        Assert.Equal(0, _table.Count);
        Assert.All(devices, device => Assert.Equal(1, device.Removals));
        Assert.Equal(0, registry.Detach(0, 0, 255));
    }

    [Theory]
    [InlineData(3, 5, new[] { 2, 6 })]
    [InlineData(0, 2, new[] { 3, 4, 5, 6 })]
    [InlineData(6, 255, new[] { 2, 3, 4, 5 })]
    [InlineData(4, 4, new[] { 2, 3, 5, 6 })]
    public void Only_devices_on_the_buses_that_leave_are_detached(byte first, byte last, int[] staying)
    {
        DriverRegistry registry = new(_table);
        for (byte bus = 2; bus <= 6; bus++)
        {
            registry.Add(new TestDriver(bus));
            FakePciFunction fake = new(0x1234, bus);
            _machine.Plug(fake, bus, 0);
            Assert.True(registry.Attach(new ScannedPciFunction(_machine, fake.Address)).IsBound);
        }
        Assert.Equal(5 - staying.Length, registry.Detach(0, first, last));
        Assert.Equal(staying, Enumerable.Range(0, _table.Count).Select(i => ((TestDevice)_table[i]).Id));
        Assert.Equal(staying.Length, registry.Detach(0, 0, 255));
    }

    /// <inheritdoc/>
    public void Dispose() => _machine.Dispose();

    private sealed class TestDevice : Device
    {
        public int Id { get; init; }

        public bool Wants { get; set; }

        public ulong Deadline { init => NextDeadline = value; }

        public int Polls { get; private set; }

        public int Deadlines { get; private set; }

        public int Removals { get; private set; }

        public override bool WantsPolling => Wants;

        public Action? OnPoll { get; set; }

        public override void Poll()
        {
            Polls++;
            OnPoll?.Invoke();
        }

        public override void OnDeadline(ulong now) => Deadlines++;

        public override void Remove() => Removals++;
    }

    private sealed class TestDriver(ushort device) : PciDriver
    {
        public override string Name => "test";

        public override bool Matches(PciFunction function) => function.ReadConfig16(PciRegisters.DeviceId) == device;

        public override ProbeResult Probe(PciFunction function, DeviceTable devices)
        {
            devices.Add(new TestDevice { Id = device });
            return ProbeResult.Bound;
        }
    }
}
