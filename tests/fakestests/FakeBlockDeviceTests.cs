// The fake disk answers as the specification asks of disks, whatever it is asked for (virtio 5.2.6.2).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fakestests;

/// <summary>Requests by hand, some of which no driver may send.</summary>
public sealed class FakeBlockDeviceTests : IDisposable
{
    private const uint Read = 0;
    private const uint Write = 1;
    private const uint Flush = 4;
    private const uint GetId = 8;
    private const uint GetLifetime = 10;
    private const uint Discard = 11;
    private const uint WriteZeroes = 13;
    private const uint SecureErase = 14;
    private const uint Append = 15;
    private const uint Report = 16;
    private const byte Ok = 0;
    private const byte Error = 1;
    private const byte Unsupported = 2;
    private const byte ZoneInvalid = 3;
    private const byte ZoneUnaligned = 4;
    private const byte Poison = 0xEE;
    private const uint AnswerOffset = 2048;

    private readonly FakeBlockDevice _disk = new(64, queueSize: RawDriver.QueueSize) { IsLenient = true };
    private RawDriver? _driver;

    private RawDriver Driver => _driver ??= new RawDriver(_disk);

    [Fact]
    [Trait("DeviceRequirement", "DEV-BLK-OP-2")]
    [Trait("DeviceRequirement", "DEV-BLK-OP-3")]
    public void What_would_change_a_read_only_disk_fails_and_changes_nothing()
    {
        new Random(1).NextBytes(_disk.Disk);
        byte[] before = (byte[])_disk.Disk.Clone();
        _disk.MakeReadOnly().Allow(FakeBlockDevice.WriteZeroes, 64);
        Start();
        Assert.Equal(Error, Do(Write, 3, new byte[512]).Status);
        Assert.Equal(Error, Do(WriteZeroes, 0, Range(0, 8, 0)).Status);
        Assert.Equal(before, _disk.Disk);
        Assert.Equal(before[(3 * 512)..(4 * 512)], Do(Read, 3, [], 512).Answer);
    }

    [Theory]
    [InlineData(Discard, 2u)]
    [InlineData(Discard, 0x8000_0000u)]
    [InlineData(WriteZeroes, 2u)]
    [InlineData(WriteZeroes, 3u)]
    [InlineData(SecureErase, 2u)]
    [Trait("DeviceRequirement", "DEV-BLK-OP-4")]
    public void A_range_with_an_unknown_flag_is_not_known(uint type, uint flags)
    {
        AllowAll();
        Start();
        Assert.Equal(Unsupported, Do(type, 0, Range(0, 8, flags)).Status);
        Assert.Empty(_disk.RangeCommands);
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-BLK-OP-5")]
    public void A_discard_that_may_unmap_is_not_known()
    {
        AllowAll();
        Start();
        Assert.Equal(Unsupported, Do(Discard, 0, Range(0, 8, 1)).Status);
        Assert.Equal(Ok, Do(Discard, 0, Range(0, 8, 0)).Status);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [Trait("DeviceRequirement", "DEV-BLK-OP-6")]
    public void After_write_zeroes_there_are_zeroes_whether_it_may_unmap_or_not(uint flags)
    {
        new Random(2).NextBytes(_disk.Disk);
        AllowAll();
        Start();
        Assert.Equal(Ok, Do(WriteZeroes, 0, Range(5, 2, flags)).Status);
        Assert.Equal(new byte[1024], Do(Read, 5, [], 1024).Answer);
        Assert.NotEqual(new byte[512], Do(Read, 4, [], 512).Answer);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("DeviceRequirement", "DEV-BLK-OP-7")]
    public void A_write_is_durable_with_the_flush_or_at_once_where_there_is_none(bool hasFlush)
    {
        _disk.OfferedFeatures &= hasFlush ? ulong.MaxValue : ~FakeBlockDevice.Flush;
        Start();
        byte[] bytes = [.. Enumerable.Repeat((byte)7, 512)];
        Assert.Equal(Ok, Do(Write, 9, bytes).Status);
        Assert.Equal(!hasFlush, _disk.Durable[9 * 512] == 7);
        if (hasFlush)
        {
            Assert.Equal(Ok, Do(Flush, 0, []).Status);
        }
        Assert.Equal(bytes, _disk.Durable[(9 * 512)..(10 * 512)]);
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-BLK-INIT-3")]
    public void A_switch_of_the_cache_that_comes_without_a_flush_begins_at_through()
    {
        _disk.AllowSwitch();
        Driver.Negotiate(FakeVirtioDevice.Version1 | FakeBlockDevice.ConfigWriteCache);
        Assert.Equal(0u, Driver.Read(FakeVirtioPciDevice.ConfigOffset + 32, 1));
        Driver.Negotiate(FakeVirtioDevice.Version1 | FakeBlockDevice.ConfigWriteCache | FakeBlockDevice.Flush);
        Assert.Equal(1u, Driver.Read(FakeVirtioPciDevice.ConfigOffset + 32, 1));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-BLK-LIFETIME-1")]
    public void The_wear_has_no_reserved_value()
    {
        _disk.OfferedFeatures |= FakeBlockDevice.Lifetime;
        Start();
        (byte status, uint _, byte[] wear) = Do(GetLifetime, 0, [], 6);
        Assert.Equal(Ok, status);
        Assert.InRange(BitConverter.ToUInt16(wear, 0), 0, 3);
        Assert.InRange(BitConverter.ToUInt16(wear, 2), 0, 11);
        Assert.InRange(BitConverter.ToUInt16(wear, 4), 0, 11);
    }

    /// <summary>What stands in <c>len</c> was written, from the first writable byte on, whatever came of the request.</summary>
    [Theory]
    [InlineData(Read, 0ul, 1024u, Ok, 1025u)]
    [InlineData(Read, 20ul, 512u, Error, 0u)] // a bad sector: the status lies behind a gap
    [InlineData(GetId, 0ul, 20u, Ok, 21u)]
    [InlineData(Flush, 0ul, 0u, Ok, 1u)]
    [InlineData(Report, 0ul, 128u, Unsupported, 0u)]
    [Trait("DeviceRequirement", "DEV-SPLIT-USED-2")]
    public void As_much_was_written_as_the_used_length_says(uint type, ulong sector, uint room, byte status, uint length)
    {
        _disk.BadSectors.Add(20);
        Array.Fill(_disk.Disk, (byte)7);
        _disk.Id = [.. Enumerable.Repeat((byte)'i', 20)];
        Start();
        (byte answered, uint used, byte[] answer) = Do(type, sector, [], room);
        Assert.Equal((status, length), (answered, used));
        Assert.DoesNotContain(Poison, answer[..(int)Math.Min(used, room)]);
    }

    [Theory]
    [InlineData(new uint[] { 16 }, new uint[] { 513 })]
    [InlineData(new uint[] { 1, 15 }, new uint[] { 512, 1 })]
    [InlineData(new uint[] { 4, 4, 8 }, new uint[] { 100, 400, 13 })]
    [InlineData(new uint[] { 15, 1 }, new uint[] { 1, 511, 1 })]
    [Trait("DeviceRequirement", "DEV-SPLIT-FRAME-1")]
    public void It_makes_no_difference_how_a_request_is_cut_into_descriptors(uint[] readable, uint[] writable)
    {
        new Random(3).NextBytes(_disk.Disk);
        Start();
        (byte status, uint used, byte[] answer) = Do(Read, 2, [], 512, readable, writable);
        Assert.Equal((Ok, 513u), (status, used));
        Assert.Equal(_disk.Disk[(2 * 512)..(3 * 512)], answer);
    }

    [Theory]
    [InlineData(Append)]
    [InlineData(Report)]
    [InlineData(18u)]
    [InlineData(20u)]
    [InlineData(22u)]
    [InlineData(24u)]
    [InlineData(26u)]
    [Trait("DeviceRequirement", "DEV-BLK-ZONED-3")]
    public void Without_ZONED_no_zone_command_is_known(uint type)
    {
        _disk.DivideInto(new FakeZones(64, 16, model: 2));
        Start(without: FakeBlockDevice.Zoned);
        Assert.Equal(Unsupported, Do(type, 0, type == Append ? new byte[512] : [], type == Append ? 8u : type == Report ? 128u : 0).Status);
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-BLK-ZONED-1")]
    public void A_host_managed_disk_does_not_agree_without_ZONED()
    {
        _disk.DivideInto(new FakeZones(64, 16, model: 1));
        Driver.Negotiate();
        Assert.Equal(3u, Driver.Read(20, 1));
        Driver.Negotiate(FakeVirtioDevice.Version1 | FakeBlockDevice.Zoned);
        Assert.Equal(11u, Driver.Read(20, 1));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [Trait("DeviceRequirement", "DEV-BLK-ZONED-2")]
    public void The_model_in_the_configuration_is_how_the_disk_behaves(byte model)
    {
        _disk.DivideInto(new FakeZones(64, 16, model));
        Start();
        Assert.Equal(model, Driver.Read(FakeVirtioPciDevice.ConfigOffset + 92, 1));
        // Off the write pointer: a host-managed zone refuses, a host-aware one takes it.
        Assert.Equal(model == 1 ? ZoneUnaligned : Ok, Do(Write, 4, new byte[512]).Status);
    }

    [Theory]
    [InlineData(0ul, Ok)]
    [InlineData(1ul, ZoneUnaligned)]
    [InlineData(15ul, ZoneUnaligned)]
    [InlineData(16ul, Ok)]
    [Trait("DeviceRequirement", "DEV-BLK-ZONED-8")]
    public void A_write_off_the_write_pointer_is_unaligned(ulong sector, byte status)
    {
        _disk.DivideInto(new FakeZones(64, 16));
        Start();
        Assert.Equal(status, Do(Write, sector, new byte[512]).Status);
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-BLK-ZONED-5")]
    public void An_append_says_where_it_wrote()
    {
        _disk.DivideInto(new FakeZones(64, 16));
        Start();
        for (ulong i = 0; i < 3; i++)
        {
            byte[] bytes = [.. Enumerable.Repeat((byte)(i + 1), 512)];
            (byte status, uint used, byte[] answer) = Do(Append, 16, bytes, 8);
            Assert.Equal((Ok, 9u, 16 + i), (status, used, BitConverter.ToUInt64(answer)));
            Assert.Equal(bytes, _disk.Disk[(int)((16 + i) * 512)..(int)((17 + i) * 512)]);
        }
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-BLK-ZONED-4")]
    public void An_append_to_a_zone_that_need_not_be_written_in_sequence_is_invalid()
    {
        _disk.DivideInto(new FakeZones(64, 16, conventional: 1));
        Start();
        Assert.Equal(ZoneInvalid, Do(Append, 0, new byte[512], 8).Status);
        Assert.Equal(Ok, Do(Append, 16, new byte[512], 8).Status);
    }

    [Theory]
    [InlineData(0u, Unsupported)]
    [InlineData(1u, ZoneInvalid)]
    [Trait("DeviceRequirement", "DEV-BLK-ZONED-6")]
    [Trait("DeviceRequirement", "DEV-BLK-ZONED-7")]
    public void An_append_that_is_too_long_is_invalid_or_not_known_where_there_is_none(uint most, byte status)
    {
        _disk.DivideInto(new FakeZones(64, 16, maxAppend: most));
        Start();
        Assert.Equal(status, Do(Append, 16, new byte[1024], 8).Status);
        Assert.Equal(16ul, _disk.Zones!.Zones[1].WritePointer);
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-SPLIT-DESC-1")]
    [Trait("DeviceRequirement", "DEV-SPLIT-DESC-2")]
    public void Descriptors_and_what_is_to_be_read_stay_as_they_are()
    {
        Start();
        Driver.Data.Span.Fill(0x55);
        Do(Write, 1, [.. Enumerable.Repeat((byte)9, 512)]);
        byte[] table = Driver.Ring.Span[..128].ToArray();
        byte[] readable = Driver.Data.Span[..(16 + 512)].ToArray();
        _disk.HoldsBack = true;
        Driver.Offer(0, ring: false);
        Lend(16 + 512, 0);
        Driver.Notify(0);
        Driver.Machine.Run();
        FakeChain chain = _disk.HeldBack[0];
        Assert.Throws<InvalidOperationException>(() => chain.Write(0, new byte[2])); // there is room for a status only
        _disk.Complete(0);
        Assert.Equal(table, Driver.Ring.Span[..128].ToArray());
        Assert.Equal(readable, Driver.Data.Span[..(16 + 512)].ToArray());
    }

    public void Dispose() => _driver?.Dispose();

    private static byte[] Range(ulong sector, uint sectors, uint flags) =>
        [.. BitConverter.GetBytes(sector), .. BitConverter.GetBytes(sectors), .. BitConverter.GetBytes(flags)];

    private void AllowAll() =>
        _disk.Allow(FakeBlockDevice.Discard, 64).Allow(FakeBlockDevice.WriteZeroes, 64).Allow(FakeBlockDevice.SecureErase, 64);

    private void Start(ulong without = 0) => Driver.Start(_disk.OfferedFeatures & ~without & ~(FakeVirtioDevice.EventIndex | FakeVirtioDevice.IndirectDescriptors));

    private void Lend(uint readable, uint room)
    {
        Driver.Share(Driver.Data.Slice(0, readable), DmaDirection.ToDevice);
        Driver.Share(Driver.Data.Slice(AnswerOffset, room + 1), DmaDirection.FromDevice);
    }

    /// <summary>One request: the status, what stands in <c>len</c>, and the answer in front of the status.</summary>
    private (byte Status, uint Used, byte[] Answer) Do(
        uint type, ulong sector, byte[] data, uint room = 0, uint[]? readablePieces = null, uint[]? writablePieces = null)
    {
        byte[] readable = [.. BitConverter.GetBytes(type), 0, 0, 0, 0, .. BitConverter.GetBytes(sector), .. data];
        readable.CopyTo(Driver.Data.Span);
        Driver.Data.Span.Slice((int)AnswerOffset, (int)room + 1).Fill(Poison);
        Lend((uint)readable.Length, room);
        readablePieces ??= data.Length == 0 ? [16] : [16, (uint)data.Length];
        writablePieces ??= room == 0 ? [1] : [room, 1];
        int count = readablePieces.Length + writablePieces.Length;
        ulong address = Driver.Data.DeviceAddress;
        for (int i = 0; i < count; i++)
        {
            int isWritable = i < readablePieces.Length ? 0 : 2;
            uint length = isWritable == 0 ? readablePieces[i] : writablePieces[i - readablePieces.Length];
            address = i == readablePieces.Length ? Driver.Data.DeviceAddress + AnswerOffset : address;
            Driver.Describe(i, address, length, (ushort)(isWritable | (i + 1 < count ? 1 : 0)), (ushort)(i + 1));
            address += length;
        }
        ushort place = Driver.UsedIndex;
        Driver.Offer(0);
        Driver.Machine.Run();
        Assert.Equal(place + 1, Driver.UsedIndex);
        Driver.Machine.Dma.Unshare(Driver.Data.Slice(0, (uint)readable.Length), DmaDirection.ToDevice);
        Driver.Machine.Dma.Unshare(Driver.Data.Slice(AnswerOffset, room + 1), DmaDirection.FromDevice);
        uint used = BitConverter.ToUInt32(Driver.Ring.Span[(256 + 4 + 8 * (place % RawDriver.QueueSize) + 4)..]);
        return (Driver.Data.Span[(int)(AnswerOffset + room)], used, Driver.Data.Span.Slice((int)AnswerOffset, (int)room).ToArray());
    }
}
