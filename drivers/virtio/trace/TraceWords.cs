// What people read behind the clause: names for bits, fields and requests (virtio 2.1, 5.2, 5.3).
using System.Buffers.Binary;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>Says in the specification's words what a value means. Nothing here is compared when a trace is replayed.</summary>
internal static class TraceWords
{
    private const int BlockHeaderLength = 16;
    private const int ControlLength = 8;

    internal static void Status(TraceText text, uint status)
    {
        AddIf(text, status, DeviceStatus.Acknowledge, " ACKNOWLEDGE");
        AddIf(text, status, DeviceStatus.Driver, " DRIVER");
        AddIf(text, status, DeviceStatus.FeaturesOk, " FEATURES_OK");
        AddIf(text, status, DeviceStatus.DriverOk, " DRIVER_OK");
        AddIf(text, status, DeviceStatus.NeedsReset, " DEVICE_NEEDS_RESET");
        AddIf(text, status, DeviceStatus.Failed, " FAILED");
        text.Add(status == 0 ? " reset" : "");
    }

    /// <summary>Names the features of a word of 32.</summary>
    internal static void Features(TraceText text, VirtioDriver? driver, uint word, uint features)
    {
        for (int i = 0; i < 32; i++)
        {
            int bit = (int)(word * 32) + i;
            if ((features >> i & 1) != 0 && bit < 64)
            {
                string common = VirtioFeature.NameOf(bit);
                string name = common.Length == 0 && driver is not null ? driver.NameOfFeature(bit) : common;
                text.Add(" ");
                if (name.Length == 0)
                {
                    text.Add("bit").Add((ulong)bit);
                }
                else
                {
                    text.Add(name);
                }
            }
        }
    }

    /// <summary>Clause and field of a device type's configuration.</summary>
    internal static void Config(TraceText text, ushort deviceType, ulong offset)
    {
        if (deviceType == DeviceType.Block)
        {
            text.Add("5.2.4 ").Add(BlockField(offset));
        }
        else if (deviceType == DeviceType.Console)
        {
            text.Add("5.3.4 ").Add(offset switch { < 2 => "cols", < 4 => "rows", < 8 => "max_nr_ports", _ => "emerg_wr" });
        }
        else
        {
            text.Add("2.5");
        }
    }

    /// <summary>What a buffer asks for, by what the device reads of it first.</summary>
    internal static void Request(TraceText text, ushort deviceType, ushort queue, ReadOnlySpan<byte> first)
    {
        if (deviceType == DeviceType.Block && first.Length >= BlockHeaderLength)
        {
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(first);
            text.Add(", 5.2.6 ").Add(BlockRequest(type)).Add(" sector ").Add(BinaryPrimitives.ReadUInt64LittleEndian(first.Slice(8)));
        }
        else if (deviceType == DeviceType.Console)
        {
            text.Add(", 5.3.6");
            if (queue == 3)
            {
                Control(text, first);
            }
        }
    }

    /// <summary>What a device answered, by the last bytes that it wrote.</summary>
    internal static void Answer(TraceText text, ushort deviceType, ushort queue, ReadOnlySpan<byte> last)
    {
        if (deviceType == DeviceType.Block && last.Length != 0)
        {
            text.Add(last[last.Length - 1] switch { 0 => " OK", 1 => " IOERR", 2 => " UNSUPP", 0xFF => " no status", _ => " another status" });
        }
        else if (deviceType == DeviceType.Console && queue == 2)
        {
            Control(text, last);
        }
    }

    private static void Control(TraceText text, ReadOnlySpan<byte> message)
    {
        if (message.Length < ControlLength)
        {
            return;
        }
        text.Add(BinaryPrimitives.ReadUInt16LittleEndian(message.Slice(4)) switch
        {
            0 => " DEVICE_READY",
            1 => " DEVICE_ADD",
            2 => " DEVICE_REMOVE",
            3 => " PORT_READY",
            4 => " CONSOLE_PORT",
            5 => " RESIZE",
            6 => " PORT_OPEN",
            7 => " PORT_NAME",
            _ => " unknown event",
        });
        text.Add(" port ").Add(BinaryPrimitives.ReadUInt32LittleEndian(message));
        text.Add(" value ").Add(BinaryPrimitives.ReadUInt16LittleEndian(message.Slice(6)));
    }

    private static string BlockRequest(uint type) => type switch
    {
        0 => "IN",
        1 => "OUT",
        4 => "FLUSH",
        8 => "GET_ID",
        10 => "GET_LIFETIME",
        11 => "DISCARD",
        13 => "WRITE_ZEROES",
        14 => "SECURE_ERASE",
        15 => "ZONE_APPEND",
        16 => "ZONE_REPORT",
        18 => "ZONE_OPEN",
        20 => "ZONE_CLOSE",
        22 => "ZONE_FINISH",
        24 => "ZONE_RESET",
        26 => "ZONE_RESET_ALL",
        _ => "unknown type",
    };

    private static string BlockField(ulong offset) => offset switch
    {
        < 8 => "capacity",
        < 12 => "size_max",
        < 16 => "seg_max",
        < 20 => "geometry",
        < 24 => "blk_size",
        < 32 => "topology",
        < 33 => "writeback",
        < 34 => "unused",
        < 36 => "num_queues",
        < 48 => "discard limits",
        < 57 => "write zeroes limits",
        < 60 => "unused",
        < 72 => "secure erase limits",
        _ => "zoned",
    };

    private static void AddIf(TraceText text, uint value, byte bit, string name) => text.Add((value & bit) != 0 ? name : "");
}
