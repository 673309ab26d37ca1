// The zones of a disk in memory (virtio 5.2.6.2, the zoned block device model).
using System.Buffers.Binary;

namespace VirtioSharp.Tests.Fakes.Block;

/// <summary>A zone, as the device keeps it.</summary>
public sealed class FakeZone
{
    /// <summary>Its first sector.</summary>
    public ulong Start { get; init; }

    /// <summary>How many sectors can be used.</summary>
    public ulong Capacity { get; init; }

    /// <summary>Its kind: 1 conventional, 2 sequential write required, 3 sequential write preferred.</summary>
    public byte Type { get; init; }

    /// <summary>Its state: see virtio 5.2.6.</summary>
    public byte State { get; set; }

    /// <summary>Where the next write goes.</summary>
    public ulong WritePointer { get; set; }

    /// <summary>True when it counts against the limit of open zones.</summary>
    public bool IsOpen => State is 2 or 3;

    /// <summary>True when it counts against the limit of active zones.</summary>
    public bool IsActive => State is 2 or 3 or 4;
}

/// <summary>The zones of a disk: equal ones, the first of them conventional if wanted.</summary>
public sealed class FakeZones
{
    private const byte Ok = FakeBlockDevice.StatusOk;
    private const byte InvalidCommand = 3;
    private const byte UnalignedWritePointer = 4;
    private const byte OpenResource = 5;
    private const byte ActiveResource = 6;

    private readonly uint _maxOpen;
    private readonly uint _maxActive;
    private readonly uint _maxAppend;
    private readonly uint _granularity;

    /// <summary>Divides <paramref name="sectors"/> into zones of <paramref name="zoneSectors"/>, of which <paramref name="capacity"/> can be used.</summary>
    public FakeZones(
        ulong sectors, uint zoneSectors, byte model = 1, int conventional = 0, uint capacity = 0, uint maxOpen = 0, uint maxActive = 0,
        uint maxAppend = 64, uint granularity = 512)
    {
        Model = model;
        ZoneSectors = zoneSectors;
        _maxOpen = maxOpen;
        _maxActive = maxActive;
        _maxAppend = maxAppend;
        _granularity = granularity;
        for (ulong start = 0; start < sectors; start += zoneSectors)
        {
            bool isConventional = Zones.Count < conventional;
            ulong length = Math.Min(zoneSectors, sectors - start);
            Zones.Add(new FakeZone
            {
                Start = start,
                Capacity = isConventional || capacity == 0 ? length : Math.Min(length, capacity),
                Type = isConventional ? (byte)1 : model == 1 ? (byte)2 : (byte)3,
                State = isConventional ? (byte)0 : (byte)1,
                WritePointer = start,
            });
        }
    }

    /// <summary>0 none, 1 host-managed, 2 host-aware.</summary>
    public byte Model { get; }

    /// <summary>The size of a zone.</summary>
    public uint ZoneSectors { get; }

    /// <summary>The zones in their order.</summary>
    public List<FakeZone> Zones { get; } = [];

    /// <summary>A fault: what an append says instead of where it wrote.</summary>
    public ulong? LieAboutAppend { get; set; }

    /// <summary>A fault: how many zones a report says it has.</summary>
    public ulong? LieAboutCount { get; set; }

    /// <summary>Fills in the configuration, from <c>zoned</c> on (5.2.4).</summary>
    public void Describe(Span<byte> config)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(config, ZoneSectors);
        BinaryPrimitives.WriteUInt32LittleEndian(config[4..], _maxOpen);
        BinaryPrimitives.WriteUInt32LittleEndian(config[8..], _maxActive);
        BinaryPrimitives.WriteUInt32LittleEndian(config[12..], _maxAppend);
        BinaryPrimitives.WriteUInt32LittleEndian(config[16..], _granularity);
        config[20] = Model;
    }

    /// <summary>Describes as many zones as there is room for, from the one with <paramref name="sector"/> on.</summary>
    public byte[] Report(ulong sector, int room)
    {
        FakeZone[] zones = [.. Zones.Skip((int)(sector / ZoneSectors)).Take((room - 64) / 64)];
        byte[] report = new byte[64 + 64 * zones.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(report, LieAboutCount ?? (ulong)zones.Length);
        for (int i = 0; i < zones.Length; i++)
        {
            Span<byte> entry = report.AsSpan(64 + 64 * i, 64);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, zones[i].Capacity);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], zones[i].Start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], zones[i].WritePointer);
            entry[24] = zones[i].Type;
            entry[25] = zones[i].State;
        }
        return report;
    }

    /// <summary>Open, close, finish, reset, reset all.</summary>
    public byte Manage(uint type, ulong sector, ViolationLog violations)
    {
        if (type == 26)
        {
            violations.Require(sector == 0, $"a reset of all zones with sector {sector} (5.2.6.1)");
            foreach (FakeZone each in Zones.Where(each => each.Type != 1 && each.State is not (13 or 15)))
            {
                Empty(each);
            }
            return Ok;
        }
        FakeZone zone = ZoneOf(sector);
        violations.Require(sector == zone.Start, $"a zone command for sector {sector}, which is not the first of a zone (5.2.6.1)");
        if (zone.Type == 1 || zone.State is 13 or 15)
        {
            return InvalidCommand;
        }
        switch (type)
        {
            case 18:
                return zone.State == 14 ? InvalidCommand : zone.State == 3 ? Ok : Open(zone, 3);
            case 20:
                if (!zone.IsOpen)
                {
                    return zone.State == 4 ? Ok : InvalidCommand;
                }
                zone.State = zone.WritePointer == zone.Start ? (byte)1 : (byte)4;
                return Ok;
            case 22:
                zone.State = 14;
                zone.WritePointer = zone.Start + zone.Capacity;
                return Ok;
            default:
                Empty(zone);
                return Ok;
        }
    }

    /// <summary>What a write to a place would end as; the write pointer goes on.</summary>
    public byte Write(ulong sector, ulong sectors)
    {
        FakeZone zone = ZoneOf(sector);
        if (zone.Type != 2)
        {
            return Ok;
        }
        if (sector != zone.WritePointer || sector * 512 % _granularity != 0)
        {
            return UnalignedWritePointer;
        }
        return Advance(zone, sectors);
    }

    /// <summary>Writes at the write pointer, and says where that was.</summary>
    public byte Append(ulong sector, uint bytes, ViolationLog violations, bool isLenient, out ulong at)
    {
        FakeZone zone = ZoneOf(sector);
        at = zone.WritePointer;
        violations.Require(sector == zone.Start, $"an append for sector {sector}, which is not the first of a zone (5.2.6.1)");
        violations.Require(bytes % _granularity == 0, $"an append of {bytes} bytes, but the granularity is {_granularity} (5.2.6.1)");
        bool fits = bytes / 512 <= _maxAppend;
        violations.Require(fits || isLenient, $"an append of {bytes / 512} sectors, but {_maxAppend} are allowed (5.2.6.1)");
        if (!fits)
        {
            return _maxAppend == 0 ? FakeBlockDevice.StatusUnsupported : InvalidCommand;
        }
        return zone.Type != 2 ? InvalidCommand : Advance(zone, bytes / 512);
    }

    private FakeZone ZoneOf(ulong sector) => Zones[(int)(sector / ZoneSectors)];

    private static void Empty(FakeZone zone)
    {
        zone.State = 1;
        zone.WritePointer = zone.Start;
    }

    private byte Advance(FakeZone zone, ulong sectors)
    {
        if (zone.State is 13 or 14 or 15 || zone.WritePointer + sectors > zone.Start + zone.Capacity)
        {
            return InvalidCommand;
        }
        byte status = zone.IsOpen ? Ok : Open(zone, 2);
        if (status == Ok)
        {
            zone.WritePointer += sectors;
            zone.State = zone.WritePointer == zone.Start + zone.Capacity ? (byte)14 : zone.State;
        }
        return status;
    }

    private byte Open(FakeZone zone, byte state)
    {
        if (!zone.IsActive && _maxActive != 0 && Zones.Count(each => each.IsActive) >= _maxActive)
        {
            return ActiveResource;
        }
        if (!zone.IsOpen && _maxOpen != 0 && Zones.Count(each => each.IsOpen) >= _maxOpen)
        {
            // The device may close one that it opened itself (5.2.6.2).
            FakeZone? implicitlyOpen = Zones.Find(each => each.State == 2);
            if (implicitlyOpen is null)
            {
                return OpenResource;
            }
            implicitlyOpen.State = 4;
        }
        zone.State = state;
        return Ok;
    }
}
