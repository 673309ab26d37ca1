// The device's side of a split ring keeps the rules for devices, and finds whoever breaks those for drivers.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fakestests;

/// <summary>Rings written by hand, right and wrong.</summary>
public sealed class FakeVirtqueueRuleTests : IDisposable
{
    private const ushort Next = 1;
    private const ushort Write = 2;
    private const ushort Indirect = 4;

    private readonly FakeQueueDevice _device = new(RawDriver.QueueSize);
    private readonly RawDriver _driver;

    public FakeVirtqueueRuleTests()
    {
        _device.OfferedFeatures |= FakeVirtioDevice.InOrder;
        _driver = new RawDriver(_device);
    }

    private FakeVirtqueue Queue => _device.Queues[0];

    [Fact]
    [Trait("DeviceRequirement", "DEV-STATUS-1")]
    public void Nothing_is_taken_before_DRIVER_OK()
    {
        _driver.Negotiate();
        _driver.EnableQueue();
        Describe(0, 16, 0);
        _driver.Offer(0, ring: false);
        _device.IsHeld = false;
        _driver.Machine.Run();
        Assert.Equal(0, _driver.UsedIndex);
        Assert.False(_device.Work());
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-SPLIT-INDIRECT-1")]
    [Trait("DeviceRequirement", "DEV-SPLIT-INDIRECT-2")]
    public void A_direct_descriptor_and_then_a_table_marked_writable_make_one_chain()
    {
        _driver.Start(FakeVirtioDevice.Version1 | FakeVirtioDevice.IndirectDescriptors);
        _driver.Share(_driver.Data.Slice(0, 16), DmaDirection.ToDevice);
        _driver.Share(_driver.Data.Slice(64, 32), DmaDirection.FromDevice);
        Table(512, _driver.Data.DeviceAddress + 64, 32, Write);
        _driver.Share(_driver.Data.Slice(512, 16), DmaDirection.ToDevice);
        _driver.Describe(0, _driver.Data.DeviceAddress, 16, Next, next: 3);
        _driver.Describe(3, _driver.Data.DeviceAddress + 512, 16, Indirect | Write);
        _driver.Offer(0);
        FakeChain chain = Queue.Take()!;
        Assert.Equal((16u, 32u), (chain.ReadableLength, chain.WritableLength));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-SPLIT-USED-1")]
    [Trait("DeviceRequirement", "DEV-SPLIT-USEDNOTIF-1")]
    public void Without_EVENT_IDX_the_flag_of_the_available_ring_stops_signals()
    {
        _driver.Start();
        Describe(0, 16, 0);
        Describe(1, 16, 0);
        _driver.Offer(0);
        _driver.Offer(1);
        _driver.SetAvailableFlags(1);
        Queue.Use(Queue.Take()!, 0);
        Queue.Signal();
        Assert.Equal((0, (ushort)1), (Queue.Signals, _driver.UsedIndex));
        _driver.SetAvailableFlags(0);
        Queue.Use(Queue.Take()!, 0);
        Queue.Signal();
        Assert.Equal((1, (ushort)2), (Queue.Signals, _driver.UsedIndex));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 0)]
    [Trait("DeviceRequirement", "DEV-SPLIT-USEDNOTIF-2")]
    public void With_EVENT_IDX_it_signals_when_the_wanted_index_is_filled(ushort wanted, int signals)
    {
        _driver.Start(FakeVirtioDevice.Version1 | FakeVirtioDevice.EventIndex);
        BitConverter.TryWriteBytes(_driver.Ring.Span[(128 + 4 + 2 * RawDriver.QueueSize)..], wanted);
        Describe(0, 16, 0);
        _driver.Offer(0);
        Queue.Use(Queue.Take()!, 0);
        Queue.Signal();
        Assert.Equal(signals, Queue.Signals);
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-SPLIT-AVAILNOTIF-1")]
    [Trait("DeviceRequirement", "DEV-SPLIT-AVAILNOTIF-2")]
    public void With_EVENT_IDX_the_used_flags_stay_0_and_a_doorbell_for_nothing_does_no_harm()
    {
        _driver.Start(FakeVirtioDevice.Version1 | FakeVirtioDevice.EventIndex);
        _driver.Notify(0);
        Assert.True(_device.Work());
        Assert.False(_device.Work());
        Assert.Equal(0, BitConverter.ToUInt16(_driver.Ring.Span.Slice(256, 2)));
    }

    /// <summary>What the driver does wrong, and what is said of it. The first 2 KiB of data are lent for reading, the rest for writing.</summary>
    public static TheoryData<string, string> Wrongs => new()
    {
        { "unlent", "not lent for reading" },
        { "readable lent, written", "not lent for writing" },
        { "empty", "of no bytes" },
        { "readable behind writable", "behind a writable" },
        { "next beyond", "points to 8" },
        { "loop", "loops" },
        { "flags", "flags 0x80" },
        { "head beyond", "names descriptor 9" },
        { "too many", "but there are 8 descriptors" },
        { "indirect not agreed on", "without being agreed on" },
        { "indirect and next", "INDIRECT together with NEXT" },
        { "odd table", "table of 15 bytes" },
        { "table in table", "inside an indirect table" },
        { "table beyond", "points to 5 of 1" },
        { "table loop", "table loops" },
        { "in order, head", "descriptor 2 after -1 with IN_ORDER" },
        { "in order, next", "descriptor 0 is followed by 2 with IN_ORDER" },
    };

    [Theory]
    [MemberData(nameof(Wrongs))]
    public void A_chain_that_breaks_a_rule_is_found(string wrong, string part)
    {
        bool indirect = wrong != "indirect not agreed on";
        bool inOrder = wrong.StartsWith("in order", StringComparison.Ordinal);
        _driver.Start(
            FakeVirtioDevice.Version1 | (indirect ? FakeVirtioDevice.IndirectDescriptors : 0) | (inOrder ? FakeVirtioDevice.InOrder : 0));
        ulong readable = _driver.Data.DeviceAddress;
        ulong writable = readable + 2048;
        if (wrong.StartsWith("table", StringComparison.Ordinal))
        {
            int flagsAndNext = wrong switch { "table in table" => Indirect, "table beyond" => Next | 5 << 16, _ => Next };
            Table(0, readable + 512, 16, flagsAndNext);
        }
        _driver.Share(_driver.Data.Slice(0, 2048), DmaDirection.ToDevice);
        _driver.Share(_driver.Data.Slice(2048, 2048), DmaDirection.FromDevice);
        ushort head = wrong switch { "head beyond" => 9, "in order, head" => 2, _ => 0 };
        switch (wrong)
        {
            case "unlent":
                _driver.Describe(0, readable + 4096, 16, 0);
                break;
            case "readable lent, written":
                _driver.Describe(0, readable, 16, Write);
                break;
            case "empty":
                _driver.Describe(0, readable, 0, 0);
                break;
            case "readable behind writable":
                _driver.Describe(0, writable, 16, Write | Next, 1);
                _driver.Describe(1, readable, 16, 0);
                break;
            case "next beyond":
                _driver.Describe(0, readable, 16, Next, 8);
                break;
            case "loop":
                _driver.Describe(0, readable, 16, Next, 0);
                break;
            case "in order, next":
                _driver.Describe(0, readable, 16, Next, 2);
                break;
            case "flags":
                _driver.Describe(0, readable, 16, 0x80);
                break;
            case "indirect and next":
                _driver.Describe(0, readable, 16, Indirect | Next, 1);
                break;
            case "odd table":
                _driver.Describe(0, readable, 15, Indirect);
                break;
            default:
                _driver.Describe(0, readable, 16, Indirect);
                break;
        }
        _driver.Offer(head);
        if (wrong == "too many")
        {
            _driver.SetAvailableIndex(9);
        }
        _driver.Breaks(part, () => Queue.Take());
    }

    [Fact]
    public void A_descriptor_changed_or_offered_again_while_the_device_holds_it_is_found()
    {
        _driver.Start();
        Describe(0, 16, 0);
        _driver.Offer(0);
        FakeChain chain = Queue.Take()!;
        _driver.Offer(0);
        _driver.Breaks("while the device holds it", () => Queue.Take());
        _driver.Describe(0, _driver.Data.DeviceAddress, 8, 0);
        _driver.Breaks("was changed", () => Queue.Use(chain, 0));
    }

    [Fact]
    public void Flags_of_the_available_ring_that_are_not_allowed_are_found()
    {
        _driver.Start(FakeVirtioDevice.Version1 | FakeVirtioDevice.EventIndex);
        Describe(0, 16, 0);
        _driver.Offer(0);
        _driver.SetAvailableFlags(1);
        Queue.Use(Queue.Take()!, 0);
        _driver.Breaks("with EVENT_IDX", Queue.Signal);
    }

    [Fact]
    public void A_used_ring_that_does_not_begin_with_zeroes_is_found()
    {
        _driver.Ring.Span[256] = 1;
        _driver.Negotiate();
        _driver.Breaks("zeroes", () => _driver.EnableQueue());
    }

    public void Dispose() => _driver.Dispose();

    private void Describe(int index, uint length, ushort flags)
    {
        if (!_driver.Machine.FakeDma.IsLent(_driver.Data.DeviceAddress, length, forWriting: false))
        {
            _driver.Share(_driver.Data.Slice(0, length), DmaDirection.ToDevice);
        }
        _driver.Describe(index, _driver.Data.DeviceAddress, length, flags);
    }

    private void Table(uint offset, ulong address, uint length, int flagsAndNext)
    {
        Span<byte> table = _driver.Data.Span[(int)offset..];
        BitConverter.TryWriteBytes(table, address);
        BitConverter.TryWriteBytes(table[8..], length);
        BitConverter.TryWriteBytes(table[12..], flagsAndNext);
    }
}
