// The drivers' numbers against those of the specification.
using System.Globalization;
using System.Reflection;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Architecture;
using Xunit;

namespace VirtioSharp.Tests.Spec;

/// <summary>
/// tests/spec/layouts.tsv holds offsets, sizes, flags and ids as the specification prints them or as they follow from its structures, each with its
/// clause and with the constant of the drivers that stands for it.
/// </summary>
public sealed class LayoutTests
{
    /// <summary>Classes that hold nothing but such numbers: all of them have to be in the table.</summary>
    private static readonly Type[] Tables =
    [
        typeof(VirtioPciRegisters), typeof(MmioRegisters), typeof(SplitLayout), typeof(PackedLayout), typeof(DeviceStatus), typeof(VirtioFeature),
        typeof(DeviceType), typeof(VirtioBlkFormat), typeof(VirtioConsoleFormat),
    ];

    /// <summary>Numbers among them that are the drivers' own.</summary>
    private static readonly string[] Own = ["PackedLayout.LineLength", "VirtioFeature.Supported", "VirtioBlkFormat.StatusPoison"];

    [Fact]
    public void Every_constant_has_the_value_of_the_specification()
    {
        List<string> wrong = [];
        foreach (string[] row in Rows())
        {
            FieldInfo? constant = Find(row[0]);
            ulong? value = constant is null ? null : Convert.ToUInt64(constant.GetRawConstantValue(), CultureInfo.InvariantCulture);
            if (value != Parse(row[3]))
            {
                wrong.Add($"{row[0]} is {value?.ToString() ?? "not there"}; {row[1]}.{row[2]} is {row[3]} ({row[4]})");
            }
        }
        Assert.True(wrong.Count == 0, string.Join(Environment.NewLine, wrong));
    }

    [Fact]
    public void No_number_of_the_specification_stands_in_the_drivers_without_being_in_the_table()
    {
        HashSet<string> known = [.. Rows().Select(row => row[0]), .. Own];
        string[] without = [.. Tables.SelectMany(Constants).Select(field => $"{field.DeclaringType!.Name}.{field.Name}").Where(name => !known.Contains(name))];
        Assert.True(without.Length == 0, string.Join(' ', without));
    }

    [Fact]
    public void Every_row_has_a_clause_and_no_constant_two_rows()
    {
        string[][] rows = [.. Rows()];
        Assert.True(rows.Length > 150);
        Assert.All(rows, row => Assert.Matches("^[2-6](\\.\\d+)*$", row[4]));
        Assert.Equal(rows.Length, rows.Select(row => row[0]).Distinct().Count());
    }

    [Theory]
    [InlineData(BlockOperation.Read, 0u)]
    [InlineData(BlockOperation.Write, 1u)]
    [InlineData(BlockOperation.Flush, 4u)]
    [InlineData(BlockOperation.GetId, 8u)]
    [InlineData(BlockOperation.GetLifetime, 10u)]
    [InlineData(BlockOperation.Discard, 11u)]
    [InlineData(BlockOperation.WriteZeroes, 13u)]
    [InlineData(BlockOperation.SecureErase, 14u)]
    [InlineData(BlockOperation.AppendZone, 15u)]
    [InlineData(BlockOperation.ReportZones, 16u)]
    [InlineData(BlockOperation.OpenZone, 18u)]
    [InlineData(BlockOperation.CloseZone, 20u)]
    [InlineData(BlockOperation.FinishZone, 22u)]
    [InlineData(BlockOperation.ResetZone, 24u)]
    [InlineData(BlockOperation.ResetAllZones, 26u)]
    public void Requests_have_the_types_of_5_2_6(BlockOperation operation, uint type) => Assert.Equal(type, VirtioBlkFormat.TypeOf(operation));

    [Theory]
    [InlineData(0, 0, 1)]
    [InlineData(1, 4, 5)]
    [InlineData(2, 6, 7)]
    [InlineData(30, 62, 63)]
    public void Ports_have_the_queues_of_5_3_2(int port, int receive, int transmit) =>
        Assert.Equal((receive, transmit), (VirtioConsoleFormat.ReceiveQueueOf(port), VirtioConsoleFormat.TransmitQueueOf(port)));

    // Sizes of the parts for each queue size, from the structures of 2.7: descriptors, available ring, used ring, and with the alignment of legacy.
    [Theory]
    [InlineData(1u, 16u, 8u, 14u, 4096u, 8192u)]
    [InlineData(2u, 32u, 10u, 22u, 4096u, 8192u)]
    [InlineData(128u, 2048u, 262u, 1030u, 4096u, 8192u)]
    [InlineData(256u, 4096u, 518u, 2054u, 8192u, 12288u)]
    [InlineData(1024u, 16384u, 2054u, 8198u, 20480u, 32768u)]
    [InlineData(32768u, 524288u, 65542u, 262150u, 593920u, 860160u)]
    public void Split_rings_have_the_sizes_of_2_7(uint size, uint descriptors, uint available, uint used, uint legacyUsedAt, uint legacyTotal)
    {
        Assert.Equal(descriptors, SplitLayout.AvailableOffset(size));
        Assert.Equal(legacyUsedAt, SplitLayout.UsedOffset(size, 4096));
        Assert.Equal(legacyTotal, SplitLayout.TotalLength(size, 4096));
        Assert.True(SplitLayout.UsedOffset(size, 64) >= descriptors + available && SplitLayout.UsedOffset(size, 64) % 4 == 0);
        Assert.True(SplitLayout.TotalLength(size, 64) >= SplitLayout.UsedOffset(size, 64) + used);
    }

    private static IEnumerable<string[]> Rows() =>
        SourceTree.Lines("tests/spec/layouts.tsv").Skip(1).Where(line => line.Length != 0).Select(line => line.Split('\t'));

    private static ulong Parse(string value) =>
        value.StartsWith("1<<", StringComparison.Ordinal) ? 1ul << int.Parse(value[3..], CultureInfo.InvariantCulture)
        : value.StartsWith("0x", StringComparison.Ordinal) ? ulong.Parse(value[2..], NumberStyles.HexNumber, CultureInfo.InvariantCulture)
        : ulong.Parse(value, CultureInfo.InvariantCulture);

    private static FieldInfo? Find(string name)
    {
        string[] parts = name.Split('.');
        IEnumerable<Type> types = typeof(VirtioDevice).Assembly.GetTypes().Where(type => type.Name == parts[0]);
        return types.SelectMany(Constants).SingleOrDefault(field => field.Name == parts[1]);
    }

    private static IEnumerable<FieldInfo> Constants(Type type) =>
        type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly).Where(field => field.IsLiteral);
}
