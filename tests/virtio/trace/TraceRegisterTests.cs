// Registers in a trace: by their names and clauses in the specification (virtio 4.1.4.3, 4.1.4.10, 4.2.2, 4.2.4), with what was selected before.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Trace;
using VirtioSharp.Drivers.Virtio.Transport;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Trace;

public sealed class TraceRegisterTests
{
    /// <summary>A register in a trace: offset, width in bits, how it is written down when it is read as 0.</summary>
    private static readonly (ulong Offset, int Width, string Line)[] s_common =
    [
        (0, 32, "device_feature_select = 0x0 ; 4.1.4.3"),
        (4, 32, "device_feature[0] = 0x0 ; 2.2"),
        (8, 32, "driver_feature_select = 0x0 ; 4.1.4.3"),
        (12, 32, "driver_feature[0] = 0x0 ; 2.2.1"),
        (16, 16, "config_msix_vector = 0x0 ; 4.1.5.1.2"),
        (18, 16, "num_queues = 0x0 ; 4.1.4.3"),
        (20, 8, "device_status = 0x0 ; 2.1 reset"),
        (21, 8, "config_generation = 0x0 ; 2.5.1"),
        (22, 16, "queue_select = 0x0 ; 4.1.4.3"),
        (24, 16, "queue_size[0] = 0x0 ; 4.1.5.1.3"),
        (26, 16, "queue_msix_vector[0] = 0x0 ; 4.1.5.1.2"),
        (28, 16, "queue_enable[0] = 0x0 ; 4.1.5.1.3"),
        (30, 16, "queue_notify_off[0] = 0x0 ; 4.1.4.4"),
        (32, 32, "queue_desc[0] = 0x0 ; 4.1.5.1.3"),
        (36, 32, "queue_desc_high[0] = 0x0 ; 4.1.5.1.3"),
        (40, 32, "queue_driver[0] = 0x0 ; 4.1.5.1.3"),
        (44, 32, "queue_driver_high[0] = 0x0 ; 4.1.5.1.3"),
        (48, 32, "queue_device[0] = 0x0 ; 4.1.5.1.3"),
        (52, 32, "queue_device_high[0] = 0x0 ; 4.1.5.1.3"),
        (56, 16, "queue_notif_config_data[0] = 0x0 ; 4.1.4.3"),
        (58, 16, "queue_reset[0] = 0x0 ; 2.6.1"),
        (60, 16, "common+0x3c = 0x0 ; 4.1.4.3"), // of administration queues
        (23, 8, "common+0x17 = 0x0 ; 4.1.4.3"), // the middle of a field
    ];

    private static readonly (ulong Offset, int Width, string Line)[] s_legacy =
    [
        (0, 32, "device_features[0] = 0x0 ; 2.2"),
        (4, 32, "driver_features[0] = 0x0 ; 2.2.1"),
        (8, 32, "queue_address[0] = 0x0 ; 4.1.5.1.3.1"),
        (12, 16, "queue_size[0] = 0x0 ; 4.1.5.1.3.1"),
        (14, 16, "queue_select = 0x0 ; 4.1.4.10"),
        (16, 16, "queue_notify = 0x0 ; 4.1.5.2 queue 0"),
        (18, 8, "device_status = 0x0 ; 2.1 reset"),
        (19, 8, "isr_status = 0x0 ; 4.1.4.5"),
    ];

    private static readonly (ulong Offset, string Line)[] s_mmio =
    [
        (0x000, "MagicValue = 0x0 ; 4.2.2"),
        (0x004, "Version = 0x0 ; 4.2.2"),
        (0x008, "DeviceID = 0x0 ; 4.2.2"),
        (0x00C, "mmio+0xc = 0x0 ; 4.2.2"), // VendorID, which nobody reads
        (0x010, "DeviceFeatures[0] = 0x0 ; 2.2"),
        (0x014, "DeviceFeaturesSel = 0x0 ; 4.2.2"),
        (0x020, "DriverFeatures[0] = 0x0 ; 2.2.1"),
        (0x024, "DriverFeaturesSel = 0x0 ; 4.2.2"),
        (0x030, "QueueSel = 0x0 ; 4.2.2"),
        (0x034, "QueueNumMax[0] = 0x0 ; 4.2.3.2"),
        (0x038, "QueueNum[0] = 0x0 ; 4.2.3.2"),
        (0x044, "QueueReady[0] = 0x0 ; 4.2.3.2"),
        (0x050, "QueueNotify = 0x0 ; 4.2.3.3 queue 0"),
        (0x060, "InterruptStatus = 0x0 ; 4.2.3.4"),
        (0x064, "InterruptACK = 0x0 ; 4.2.3.4"),
        (0x070, "Status = 0x0 ; 2.1 reset"),
        (0x080, "QueueDescLow[0] = 0x0 ; 4.2.3.2"),
        (0x084, "QueueDescHigh[0] = 0x0 ; 4.2.3.2"),
        (0x090, "QueueDriverLow[0] = 0x0 ; 4.2.3.2"),
        (0x094, "QueueDriverHigh[0] = 0x0 ; 4.2.3.2"),
        (0x0A0, "QueueDeviceLow[0] = 0x0 ; 4.2.3.2"),
        (0x0A4, "QueueDeviceHigh[0] = 0x0 ; 4.2.3.2"),
        (0x0C0, "QueueReset[0] = 0x0 ; 2.6.1"),
        (0x0FC, "ConfigGeneration = 0x0 ; 2.5.1"),
        (0x0F8, "mmio+0xf8 = 0x0 ; 4.2.2"),
        (0x100, "config+0x0 = 0x0 ; 2.5 "),
        (0x1FC, "config+0xfc = 0x0 ; 2.5 "),
    ];

    private readonly TraceBench _bench = new();
    private IoRegion _device = null!;

    [Fact]
    public void Registers_of_the_common_configuration_have_the_names_of_its_fields()
    {
        Show(WindowKind.Common, 0x100, 0x40);
        foreach ((ulong offset, int width, string line) in s_common)
        {
            Read(0x100 + offset, width);
            _bench.Says($"r{width} {line}");
        }
    }

    [Fact]
    public void Registers_of_the_legacy_interface_have_the_names_of_its_fields()
    {
        Show(WindowKind.Legacy, 0, 0x400);
        foreach ((ulong offset, int width, string line) in s_legacy)
        {
            Read(offset, width);
            _bench.Says($"r{width} {line}");
        }
    }

    /// <summary>With MSI-X two registers come before the configuration (4.1.4.10).</summary>
    [Fact]
    public void Where_the_legacy_configuration_begins_depends_on_vectors()
    {
        Show(WindowKind.Legacy, 0, 0x400);
        Read(20, 16);
        Read(22, 16);
        Read(24, 16);
        _bench.Trace.NoteVectors(true);
        Read(20, 16);
        Read(22, 16);
        Read(24, 16);
        _bench.Trace.NoteVectors(false);
        Read(22, 16);
        _bench.Says(
            "r16 config+0x0 = 0x0 ; 2.5 ",
            "r16 config+0x2 = 0x0 ; 2.5 ",
            "r16 config+0x4 = 0x0 ; 2.5 ",
            "r16 config_msix_vector = 0x0 ; 4.1.5.1.2",
            "r16 queue_msix_vector[0] = 0x0 ; 4.1.5.1.2",
            "r16 config+0x0 = 0x0 ; 2.5 ",
            "r16 config+0x2 = 0x0 ; 2.5 ");
    }

    [Fact]
    public void Registers_of_mmio_have_the_names_of_the_specification()
    {
        _bench.UseMmio();
        foreach ((ulong offset, string line) in s_mmio)
        {
            _bench.Device.Read32(offset);
            _bench.Says("r32 " + line);
        }
    }

    /// <summary>Version 1 has three registers where version 2 has none (4.2.4).</summary>
    [Fact]
    public void What_is_legacy_over_mmio_is_known_once_the_version_was_read()
    {
        _bench.UseMmio();
        foreach (uint version in new uint[] { 2, 1, 2 })
        {
            _bench.Registers.Write32(MmioRegisters.Version, version);
            _bench.Device.Read32(MmioRegisters.Version);
            _bench.Device.Read32(MmioRegisters.GuestPageSize);
            _bench.Device.Read32(MmioRegisters.QueueAlign);
            _bench.Device.Read32(MmioRegisters.QueuePageNumber);
        }
        _bench.Says(
            "r32 Version = 0x2 ; 4.2.2", "r32 mmio+0x28 = 0x0 ; 4.2.2", "r32 mmio+0x3c = 0x0 ; 4.2.2", "r32 mmio+0x40 = 0x0 ; 4.2.2",
            "r32 Version = 0x1 ; 4.2.2", "r32 GuestPageSize = 0x0 ; 4.2.4", "r32 QueueAlign[0] = 0x0 ; 4.2.4", "r32 QueuePFN[0] = 0x0 ; 4.2.4",
            "r32 Version = 0x2 ; 4.2.2", "r32 mmio+0x28 = 0x0 ; 4.2.2", "r32 mmio+0x3c = 0x0 ; 4.2.2", "r32 mmio+0x40 = 0x0 ; 4.2.2");
    }

    [Fact]
    public void All_registers_are_said_to_be_those_of_mmio_and_how_many_bytes()
    {
        _bench.Forget();
        _bench.Trace.UseMmio(0x220);
        _bench.Says("registers 0x220 ; 4.2.2");
    }

    [Fact]
    public void Accesses_are_written_down_with_their_width_before_and_after_they_happen()
    {
        _bench.UseMmio();
        _bench.ShowsMachine = true;
        _bench.Device.Write8(0x101, 0x12);
        _bench.Device.Write16(0x102, 0x3456);
        _bench.Device.Write32(0x104, 0x789ABCDE);
        Assert.Equal((0x12, 0x3456, 0x789ABCDEu), (_bench.Device.Read8(0x101), _bench.Device.Read16(0x102), _bench.Device.Read32(0x104)));
        Assert.Equal(0x400ul, _bench.Device.Length);
        _bench.Says(
            "w8 config+0x1 = 0x12 ; 2.5 ", "(write 8 at 0x101: 0x12)",
            "w16 config+0x2 = 0x3456 ; 2.5 ", "(write 16 at 0x102: 0x3456)",
            "w32 config+0x4 = 0x789abcde ; 2.5 ", "(write 32 at 0x104: 0x789abcde)",
            "(read 8 at 0x101)", "r8 config+0x1 = 0x12 ; 2.5 ",
            "(read 16 at 0x102)", "r16 config+0x2 = 0x3456 ; 2.5 ",
            "(read 32 at 0x104)", "r32 config+0x4 = 0x789abcde ; 2.5 ");
    }

    [Fact]
    public void The_driver_says_what_a_field_of_the_configuration_is()
    {
        TraceBench bench = new TraceBench(new BenchDriver()).UseMmio();
        bench.Device.Read32(0x108);
        bench.Device.Read32(MmioRegisters.ConfigGeneration);
        bench.Device.Read32(0x100);
        bench.Says("r32 config+0x8 = 0x0 ; 5.99 field_8", "r32 ConfigGeneration = 0x0 ; 2.5.1", "r32 config+0x0 = 0x0 ; 5.99 field_0");
    }

    [Fact]
    public void Structures_in_BARs_are_said_with_where_they_are()
    {
        _bench.Forget();
        foreach (WindowKind kind in new[] { WindowKind.Common, WindowKind.Notify, WindowKind.Isr, WindowKind.Device, WindowKind.Legacy })
        {
            _bench.Trace.AddWindow(kind, (int)kind, 0x1000 * (ulong)kind, 0x10 + (ulong)kind);
        }
        _bench.Trace.AddWindow(WindowKind.Device, 15, 0, 1); // three bits are enough for a BAR
        _bench.Says(
            "window 1 1 0x1000 0x11 ; 4.1.4.3 common configuration",
            "window 2 2 0x2000 0x12 ; 4.1.4.4 notifications",
            "window 3 3 0x3000 0x13 ; 4.1.4.5 ISR status",
            "window 4 4 0x4000 0x14 ; 4.1.4.6 device configuration",
            "window 5 5 0x5000 0x15 ; 4.1.4.10 legacy interface",
            "window 4 7 0x0 0x1 ; 4.1.4.6 device configuration");
    }

    /// <summary>A register is of the window that holds it: of its BAR, from its first byte to its last, and of the first of two.</summary>
    [Theory]
    [InlineData(1, 0x0FF, "register0xff = 0x0 ; ")]
    [InlineData(1, 0x100, "config+0x0 = 0x0 ; 2.5 ")]
    [InlineData(1, 0x1FF, "config+0xff = 0x0 ; 2.5 ")]
    [InlineData(1, 0x200, "isr = 0x0 ; 4.1.4.5")]
    [InlineData(1, 0x201, "register0x201 = 0x0 ; ")]
    [InlineData(1, 0x300, "notify+0x0 = 0x0 ; 4.1.5.2 queue 0")]
    [InlineData(1, 0x310, "notify+0x10 = 0x0 ; 4.1.5.2 queue 0")]
    [InlineData(1, 0x320, "config+0x10 = 0x0 ; 2.5 ")] // a second one, which overlaps
    [InlineData(0, 0x100, "register0x100 = 0x0 ; ")]
    [InlineData(2, 0x100, "common+0x17 = 0x0 ; 4.1.4.3")]
    [InlineData(2, 0x3FF, "register0x3ff = 0x0 ; ")]
    public void A_register_is_of_the_window_that_holds_it(int bar, ulong offset, string line)
    {
        _bench.Trace.AddWindow(WindowKind.Device, 1, 0x100, 0x100);
        _bench.Trace.AddWindow(WindowKind.Isr, 1, 0x200, 1);
        _bench.Trace.AddWindow(WindowKind.Notify, 1, 0x300, 0x20);
        _bench.Trace.AddWindow(WindowKind.Device, 1, 0x310, 0x40);
        _bench.Trace.AddWindow(WindowKind.Common, 2, 0xE9, 0x40);
        _bench.Forget();
        new TracedRegion(_bench.Registers, _bench.Trace, bar).Read8(offset);
        _bench.Says("r8 " + line);
    }

    /// <summary>A modern device has exactly these four; there may be more in its BAR.</summary>
    [Fact]
    public void What_lies_between_four_structures_is_a_register_without_a_name()
    {
        for (uint i = 1; i <= 4; i++)
        {
            _bench.Trace.AddWindow(WindowKind.None + (byte)i, 0, i * 0x80, 0x40);
        }
        _bench.Forget();
        new TracedRegion(_bench.Registers, _bench.Trace, 0).Read32(0x240);
        _bench.Says("r32 register0x240 = 0x0 ; ");
    }

    [Fact]
    public void What_depends_on_a_queue_or_a_word_of_features_says_which()
    {
        _bench.UseMmio();
        _bench.Set(MmioRegisters.QueueSelect, 0x10003, MmioRegisters.QueueSize, 8, MmioRegisters.QueueReset, 0); // 16 bits of it
        _bench.Set(MmioRegisters.DeviceFeaturesSelect, 1, MmioRegisters.DriverFeaturesSelect, 2);
        _bench.Device.Read32(MmioRegisters.QueueSizeMax);
        _bench.Device.Read32(MmioRegisters.DeviceFeatures);
        _bench.Device.Read32(MmioRegisters.DriverFeatures);
        _bench.Says(
            "w32 QueueSel = 0x10003 ; 4.2.2",
            "w32 QueueNum[3] = 0x8 ; 4.2.3.2",
            "w32 QueueReset[3] = 0x0 ; 2.6.1",
            "w32 DeviceFeaturesSel = 0x1 ; 4.2.2",
            "w32 DriverFeaturesSel = 0x2 ; 4.2.2",
            "r32 QueueNumMax[3] = 0x0 ; 4.2.3.2",
            "r32 DeviceFeatures[1] = 0x0 ; 2.2",
            "r32 DriverFeatures[2] = 0x0 ; 2.2.1");
    }

    /// <summary>Addresses are other ones each time: the line about the queue says what is there.</summary>
    [Fact]
    public void An_address_that_is_written_is_left_out_and_one_that_is_read_only_where_it_was_written()
    {
        _bench.UseMmio();
        _bench.Registers.Write32(MmioRegisters.Version, 1);
        _bench.Device.Read32(MmioRegisters.Version);
        _bench.Forget();
        foreach (ulong offset in new ulong[] { 0x80, 0x84, 0x90, 0x94, 0xA0, 0xA4 })
        {
            _bench.Device.Write32(offset, 0x1234);
            _bench.Says($"w32 {s_mmio.First(each => each.Offset == offset).Line.Replace("0x0", "*")}");
        }
        _bench.Device.Write32(MmioRegisters.QueuePageNumber, 0x77);
        _bench.Device.Read32(MmioRegisters.QueuePageNumber);
        _bench.Registers.Write32(MmioRegisters.QueuePageNumber, 0x78); // a device that says something else
        _bench.Device.Read32(MmioRegisters.QueuePageNumber);
        _bench.Device.Write32(MmioRegisters.QueueSelect, 1);
        _bench.Registers.Write32(MmioRegisters.QueuePageNumber, 0);
        _bench.Device.Read32(MmioRegisters.QueuePageNumber);
        _bench.Says(
            "w32 QueuePFN[0] = * ; 4.2.4",
            "queue 0 split 0 unknown unknown unknown ; 2.7",
            "r32 QueuePFN[0] = * ; 4.2.4",
            "r32 QueuePFN[0] = 0x78 ; 4.2.4",
            "w32 QueueSel = 0x1 ; 4.2.2",
            "r32 QueuePFN[1] = 0x0 ; 4.2.4"); // no queue there: that is an answer
    }

    [Theory]
    [InlineData(0x01, " ACKNOWLEDGE")]
    [InlineData(0x02, " DRIVER")]
    [InlineData(0x08, " FEATURES_OK")]
    [InlineData(0x04, " DRIVER_OK")]
    [InlineData(0x40, " DEVICE_NEEDS_RESET")]
    [InlineData(0x80, " FAILED")]
    [InlineData(0xCF, " ACKNOWLEDGE DRIVER FEATURES_OK DRIVER_OK DEVICE_NEEDS_RESET FAILED")]
    [InlineData(0x10, "")]
    [InlineData(0x00, " reset")]
    public void The_bits_of_the_device_status_have_their_names(uint status, string words)
    {
        _bench.UseMmio();
        _bench.Device.Write32(MmioRegisters.Status, status);
        _bench.Device.Read32(MmioRegisters.Status);
        _bench.Says($"w32 Status = 0x{status:x} ; 2.1{words}", $"r32 Status = 0x{status:x} ; 2.1{words}");
    }

    [Theory]
    [InlineData(0, 0x00000000, "")]
    [InlineData(0, 0x00000001, " OWN_0")]
    [InlineData(0, 0x80000000, " OWN_31")]
    [InlineData(0, 0x30000003, " OWN_0 OWN_1 INDIRECT_DESC EVENT_IDX")] // what is the same for all devices comes first
    [InlineData(0, 0x00000044, " bit2 bit6")]
    [InlineData(1, 0x00000001, " VERSION_1")]
    [InlineData(1, 0x80000004, " RING_PACKED bit63")]
    [InlineData(2, 0xFFFFFFFF, "")] // nothing has a meaning there
    public void Features_have_the_names_of_the_specification_and_of_their_driver(uint word, uint bits, string words)
    {
        TraceBench bench = new TraceBench(new BenchDriver()).UseMmio();
        bench.Set(MmioRegisters.DeviceFeaturesSelect, word, MmioRegisters.DriverFeaturesSelect, word);
        bench.Forget();
        bench.Registers.Write32(MmioRegisters.DeviceFeatures, bits);
        bench.Device.Read32(MmioRegisters.DeviceFeatures);
        bench.Device.Write32(MmioRegisters.DriverFeatures, bits);
        bench.Says($"r32 DeviceFeatures[{word}] = 0x{bits:x} ; 2.2{words}", $"w32 DriverFeatures[{word}] = 0x{bits:x} ; 2.2.1{words}");
    }

    /// <summary>The two selectors are two.</summary>
    [Fact]
    public void Names_of_features_are_those_of_the_word_that_was_selected()
    {
        TraceBench bench = new TraceBench().UseMmio();
        bench.Set(MmioRegisters.DeviceFeaturesSelect, 1, MmioRegisters.DriverFeaturesSelect, 0);
        bench.Forget();
        bench.Registers.Write32(MmioRegisters.DeviceFeatures, 1);
        bench.Device.Read32(MmioRegisters.DeviceFeatures);
        bench.Device.Write32(MmioRegisters.DriverFeatures, 1);
        bench.Says("r32 DeviceFeatures[1] = 0x1 ; 2.2 VERSION_1", "w32 DriverFeatures[0] = 0x1 ; 2.2.1 bit0");
    }

    private void Show(WindowKind kind, ulong offset, ulong length)
    {
        _bench.Trace.AddWindow(kind, 0, offset, length);
        _bench.Forget();
        _device = new TracedRegion(_bench.Registers, _bench.Trace, 0);
    }

    private void Read(ulong offset, int width)
    {
        switch (width)
        {
            case 8:
                _device.Read8(offset);
                break;
            case 16:
                _device.Read16(offset);
                break;
            default:
                _device.Read32(offset);
                break;
        }
    }
}
