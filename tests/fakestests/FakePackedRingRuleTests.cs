// The device's side of a packed ring keeps the rules for devices, and finds whoever breaks those for drivers.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fakestests;

/// <summary>Packed rings written by hand, right and wrong.</summary>
public sealed class FakePackedRingRuleTests : IDisposable
{
    private const ushort Next = 1;
    private const ushort Write = 2;
    private const ushort Indirect = 4;
    private const ushort Available = 0x80;
    private const ushort Used = 0x8000;
    private const ulong Packed = FakeVirtioDevice.Version1 | FakeVirtioDevice.RingPacked;
    private const ulong Everything = Packed | FakeVirtioDevice.IndirectDescriptors | FakeVirtioDevice.EventIndex;
    private const int DriverEvent = 128;
    private const int DeviceEvent = 256;

    private readonly FakeQueueDevice _device = new(RawDriver.QueueSize);
    private readonly RawDriver _driver;

    public FakePackedRingRuleTests()
    {
        _device.OfferedFeatures |= FakeVirtioDevice.RingPacked | FakeVirtioDevice.InOrder;
        _driver = new RawDriver(_device);
    }

    private FakeVirtqueue Queue => _device.Queues[0];

    private ulong Readable => _driver.Data.DeviceAddress;

    private ulong Writable => Readable + 2048;

    [Fact]
    [Trait("DeviceRequirement", "DEV-PACKED-DESC-1")]
    [Trait("DeviceRequirement", "DEV-PACKED-SG-1")]
    [Trait("DeviceRequirement", "DEV-PACKED-ORDER-1")]
    public void A_list_is_taken_in_order_and_used_by_one_descriptor_in_the_place_of_its_first()
    {
        Start(Everything);
        Describe(1, Readable + 16, 16, Next | Available, id: 9);
        Describe(2, Writable, 32, Write | Available, id: 5);
        Assert.Null(Queue.Take());
        Describe(0, Readable, 16, Next | Available, id: 9);
        Describe(3, Readable, 8, Available, id: 6);
        FakeChain first = Queue.Take()!;
        FakeChain second = Queue.Take()!;
        Assert.Equal((5, 32u, 32u), (first.Head, first.ReadableLength, first.WritableLength));
        Assert.Equal((6, 8u), (second.Head, second.ReadableLength));
        Assert.Null(Queue.Take());
        Queue.Use(second, 0);
        Assert.Equal((6, Available | Used), (IdOf(0), FlagsOf(0)));
        Queue.Use(first, 20);
        Assert.Equal((5, Available | Used | Write, 20u), (IdOf(1), FlagsOf(1), BitConverter.ToUInt32(_driver.Ring.Span[24..])));
        Assert.Equal(4, Queue.Packed.UsedOffset);
    }

    [Fact]
    public void In_the_second_round_available_and_used_change_places()
    {
        Start(Packed);
        for (int i = 0; i < 3 * RawDriver.QueueSize; i++)
        {
            bool isOdd = i / RawDriver.QueueSize % 2 == 1;
            int at = i % RawDriver.QueueSize;
            Describe(at, Readable, 8, isOdd ? Available : Used, id: 1);
            Assert.Null(Queue.Take());
            Describe(at, Readable, 8, isOdd ? Used : Available, id: 1);
            Queue.Use(Queue.Take()!, 0);
            Assert.Equal(isOdd ? 0 : Available | Used, FlagsOf(at));
        }
    }

    [Theory]
    [InlineData(0, 0, 1)] // enabled
    [InlineData(1, 0, 0)] // disabled
    [InlineData(2, 0x8001, 1)] // for the second descriptor of this round
    [InlineData(2, 0x8003, 0)] // for one that was not used yet
    [InlineData(2, 0x0001, 0)] // for the second one of another round
    public void A_signal_is_sent_as_the_driver_event_says(ushort mode, ushort position, int signals)
    {
        Start(Everything);
        WriteEvent(DriverEvent, position, mode);
        for (int i = 0; i < 3; i++)
        {
            Describe(i, Readable, 8, Available, (ushort)i);
            Queue.Use(Queue.Take()!, 0);
        }
        Queue.Signal();
        Queue.Signal();
        Assert.Equal(signals, Queue.Signals);
    }

    /// <summary>What the driver does wrong, and what is said of it. The first 2 KiB of data are lent for reading, the rest for writing.</summary>
    public static TheoryData<string, string> Wrongs => new()
    {
        { "unlent", "not lent for reading" },
        { "readable lent, written", "not lent for writing" },
        { "empty", "of no bytes" },
        { "readable behind writable", "behind a writable" },
        { "list not available", "is not marked as available" },
        { "list of the other round", "is not marked as available" },
        { "endless list", "while the device holds it" },
        { "flags", "flags 0x88" },
        { "id beyond", "buffer id 8" },
        { "id twice", "used again" },
        { "indirect not agreed on", "without being agreed on" },
        { "indirect in a list", "INDIRECT in a list" },
        { "indirect behind a list", "INDIRECT in a list" },
        { "indirect and write", "WRITE, which is reserved" },
        { "odd table", "table of 15 bytes" },
        { "flags in a table", "flags 0x1 inside" },
        { "id in a table", "buffer id inside" },
        { "long table", "longer than the queue" },
        { "device event written", "wrote the device event" },
        { "event mode", "driver event flags are 0x3" },
        { "event reserved", "driver event flags are 0x104" },
        { "event beyond", "event for descriptor 8" },
        { "event without feature", "without EVENT_IDX" },
    };

    [Theory]
    [MemberData(nameof(Wrongs))]
    public void A_driver_that_breaks_a_rule_is_found(string wrong, string part)
    {
        byte[] table = new byte[16 * 9];
        for (int i = 0; i < 9; i++)
        {
            BitConverter.TryWriteBytes(table.AsSpan(16 * i), Readable);
            BitConverter.TryWriteBytes(table.AsSpan(16 * i + 8), 16);
        }
        table[12] = wrong == "id in a table" ? (byte)1 : (byte)0;
        table[14] = wrong == "flags in a table" ? (byte)Next : (byte)0;
        table.CopyTo(_driver.Data.Span[512..]);
        Start(wrong switch
        {
            "indirect not agreed on" => Packed,
            "event without feature" => Packed | FakeVirtioDevice.IndirectDescriptors,
            _ => Everything,
        });
        switch (wrong)
        {
            case "unlent":
                Describe(0, Readable + 4096, 16, Available);
                break;
            case "readable lent, written":
                Describe(0, Readable, 16, Available | Write);
                break;
            case "empty":
                Describe(0, Readable, 0, Available);
                break;
            case "readable behind writable":
                Describe(1, Readable, 16, Available);
                Describe(0, Writable, 16, Available | Write | Next);
                break;
            case "list not available":
                Describe(0, Readable, 16, Available | Next);
                break;
            case "list of the other round":
                Describe(1, Readable, 16, Used);
                Describe(0, Readable, 16, Available | Next);
                break;
            case "endless list":
                for (int i = 0; i < 8; i++)
                {
                    Describe(i, Readable, 16, Available | Next);
                }
                break;
            case "flags":
                Describe(0, Readable, 16, Available | 8);
                break;
            case "id beyond":
                Describe(0, Readable, 16, Available, id: 8);
                break;
            case "id twice":
                Describe(0, Readable, 16, Available, id: 3);
                Describe(1, Readable, 16, Available, id: 3);
                Assert.NotNull(Queue.Take());
                break;
            case "indirect in a list":
                Describe(1, Readable, 16, Available);
                Describe(0, Readable + 512, 16, Available | Indirect | Next);
                break;
            case "indirect behind a list":
                Describe(1, Readable + 512, 16, Available | Indirect);
                Describe(0, Readable, 16, Available | Next);
                break;
            case "indirect and write":
                Describe(0, Readable + 512, 16, Available | Indirect | Write);
                break;
            case "odd table":
                Describe(0, Readable + 512, 15, Available | Indirect);
                break;
            case "long table":
                Describe(0, Readable + 512, 9 * 16, Available | Indirect);
                break;
            case "device event written":
                WriteEvent(DeviceEvent, 0, 1);
                break;
            case "event mode":
                WriteEvent(DriverEvent, 0, 3);
                break;
            case "event reserved":
                WriteEvent(DriverEvent, 0, 0x104);
                break;
            case "event beyond":
                WriteEvent(DriverEvent, 8, 2);
                break;
            case "event without feature":
                WriteEvent(DriverEvent, 0, 2);
                break;
            default:
                Describe(0, Readable + 512, 16, Available | Indirect);
                break;
        }
        _driver.Breaks(part, () => Queue.Take());
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-PACKED-DESC-2")]
    public void A_descriptor_changed_while_the_device_holds_it_is_found()
    {
        Start(Packed);
        Describe(0, Readable, 8, Available);
        FakeChain chain = Queue.Take()!;
        Describe(0, Readable, 16, Available);
        _driver.Breaks("was changed", () => Queue.Use(chain, 0));
    }

    [Fact]
    public void A_ring_that_does_not_begin_with_zeroes_is_found()
    {
        _driver.Ring.Span[17] = 1;
        _driver.Negotiate(Packed);
        _driver.Breaks("zeroes", () => _driver.EnableQueue());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("DeviceRequirement", "DEV-RSVD-2")]
    public void A_batch_in_order_is_one_entry_at_the_place_of_its_first_buffer(bool packed)
    {
        Start((packed ? Packed : FakeVirtioDevice.Version1) | FakeVirtioDevice.InOrder);
        Queue.WritesBatches = true;
        List<FakeChain> taken = [];
        for (ushort i = 0; i < 3; i++)
        {
            if (packed)
            {
                Describe(i, Readable, 8, Available, (ushort)(7 - i));
            }
            else
            {
                _driver.Describe(i, Readable, 8, 0);
                _driver.Offer(i);
            }
            taken.Add(Queue.Take()!);
        }
        foreach (FakeChain chain in taken)
        {
            Queue.Use(chain, 0);
        }
        Assert.Equal(0, Queue.Entries);
        Queue.Signal();
        Assert.Equal((1, 1), (Queue.Entries, Queue.Signals));
        if (packed)
        {
            Assert.Equal((5, Available | Used, Available), (IdOf(0), FlagsOf(0), FlagsOf(1)));
        }
        else
        {
            Assert.Equal((2, 0, 3), (BitConverter.ToInt32(_driver.Ring.Span[260..]), BitConverter.ToInt32(_driver.Ring.Span[268..]), _driver.UsedIndex));
        }
    }

    [Fact]
    public void A_test_that_uses_buffers_out_of_order_with_IN_ORDER_is_wrong_itself()
    {
        Start(Packed | FakeVirtioDevice.InOrder);
        Describe(0, Readable, 8, Available, 0);
        Describe(1, Readable, 8, Available, 1);
        Queue.Take();
        FakeChain second = Queue.Take()!;
        Assert.Throws<InvalidOperationException>(() => Queue.Use(second, 0));
    }

    public void Dispose() => _driver.Dispose();

    private void Start(ulong features)
    {
        _driver.Start(features);
        _driver.Share(_driver.Data.Slice(0, 2048), DmaDirection.ToDevice);
        _driver.Share(_driver.Data.Slice(2048, 2048), DmaDirection.FromDevice);
    }

    private void Describe(int index, ulong address, uint length, int flags, ushort id = 0) =>
        _driver.Describe(index, address, length, flags: id, next: (ushort)flags);

    private void WriteEvent(int offset, ushort position, ushort mode)
    {
        BitConverter.TryWriteBytes(_driver.Ring.Span[offset..], position);
        BitConverter.TryWriteBytes(_driver.Ring.Span[(offset + 2)..], mode);
    }

    private int IdOf(int index) => BitConverter.ToUInt16(_driver.Ring.Span[(16 * index + 12)..]);

    private int FlagsOf(int index) => BitConverter.ToUInt16(_driver.Ring.Span[(16 * index + 14)..]);
}
