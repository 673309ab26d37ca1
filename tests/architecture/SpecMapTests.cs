// Which requirement of the specification has which test.
using System.IO;
using System.Reflection;
using System.Text;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Hostile;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Architecture;

/// <summary>
/// Tests cite requirements on drivers by <c>[Trait("Requirement", "CORE-STATUS-2")]</c>, and tests of the fakes those on devices by
/// <c>[Trait("DeviceRequirement", "DEV-RESET-1")]</c>; the ids are those of tests/spec. What no test can show has a reason in tests/spec/reasons.tsv or
/// tests/spec/device-reasons.tsv. docs/spec-map.md is written from all of them (<c>make conformance</c>).
/// </summary>
public sealed class SpecMapTests(ITestOutputHelper output)
{
    /// <summary>The name of the trait.</summary>
    public const string Requirement = "Requirement";

    /// <summary>The name of the trait of requirements on devices.</summary>
    public const string DeviceRequirement = "DeviceRequirement";

    private const string Map = "docs/spec-map.md";
    private const string Drivers = "tests/spec/driver-requirements.tsv";
    private const string Devices = "tests/spec/device-requirements.tsv";
    private const string Reasons = "tests/spec/reasons.tsv";
    private const string DeviceReasons = "tests/spec/device-reasons.tsv";
    private const int MostNamed = 3;

    private static readonly string[] Tables = [Drivers, Devices];

    [Fact]
    public void The_tables_are_well_formed()
    {
        foreach (string table in Tables)
        {
            string[] lines = SourceTree.Lines(table);
            Assert.StartsWith("id\tsection\tlabel\tlevel\trequirement", lines[0]);
            Assert.All(lines, line => Assert.Equal(lines[0].Count(c => c == '\t'), line.Count(c => c == '\t')));
            string[] ids = [.. lines.Skip(1).Select(line => line.Split('\t')[0])];
            Assert.Equal(ids.Length, ids.Distinct().Count());
        }
    }

    [Fact]
    public void Every_requirement_that_a_test_cites_exists()
    {
        foreach ((string table, string trait) in new[] { (Drivers, Requirement), (Devices, DeviceRequirement) })
        {
            HashSet<string> known = [.. Ids(table)];
            string[] unknown = [.. Cited(trait).Where(each => !known.Contains(each.Id)).Select(each => $"{each.Test} cites {each.Id}")];
            Assert.True(unknown.Length == 0, string.Join(Environment.NewLine, unknown));
        }
    }

    [Theory]
    [InlineData(Drivers, Requirement, Reasons)]
    [InlineData(Devices, DeviceRequirement, DeviceReasons)]
    public void Every_requirement_has_a_test_or_a_reason_and_not_both(string table, string trait, string reasons)
    {
        HashSet<string> cited = [.. Cited(trait).Select(each => each.Id)];
        HashSet<string> explained = [.. Rows(reasons).Select(row => row[0])];
        string[] without = [.. Ids(table).Where(id => !cited.Contains(id) && !explained.Contains(id))];
        string[] both = [.. explained.Where(cited.Contains)];
        output.WriteLine($"{Ids(table).Count(cited.Contains)} of {Ids(table).Count()} requirements are shown by tests, {explained.Count} have a reason");
        Assert.True(without.Length == 0, "neither a test nor a reason: " + string.Join(' ', without));
        Assert.True(both.Length == 0, "a test, so the reason can go: " + string.Join(' ', both));
    }

    [Theory]
    [InlineData(Drivers, Reasons)]
    [InlineData(Devices, DeviceReasons)]
    public void Every_reason_is_of_a_requirement_that_exists_and_says_something(string table, string reasons)
    {
        HashSet<string> known = [.. Ids(table)];
        Assert.All(Rows(reasons), row => Assert.True(row.Length == 3 && known.Contains(row[0]) && row[2].Length > 20, string.Join(' ', row)));
        Assert.Equal(Rows(reasons).Count(), Rows(reasons).Select(row => row[0]).Distinct().Count());
    }

    [Fact]
    public void Requirements_on_devices_are_shown_by_tests_of_the_fakes_alone() =>
        Assert.All(Cited(DeviceRequirement), each => Assert.StartsWith("Fake", each.Test));

    [Fact]
    public void Features_that_a_reason_says_are_not_accepted_are_not()
    {
        ulong never = 0;
        foreach (string[] row in Rows(Reasons).Where(row => row[1].Length != 0))
        {
            never |= 1ul << int.Parse(row[1]);
        }
        Assert.NotEqual(0ul, never);
        foreach (Type driver in new[] { typeof(VirtioBlkDriver), typeof(VirtioConsoleDriver) })
        {
            object? supported = driver.GetField("Supported", BindingFlags.Static | BindingFlags.NonPublic)!.GetRawConstantValue();
            Assert.Equal(0ul, (ulong)supported! & never);
        }
        Assert.Equal(0ul, VirtioFeature.Supported & never);
    }

    [Fact]
    public void The_map_in_docs_is_what_tests_and_reasons_say()
    {
        string path = Path.Combine(SourceTree.Root, Map);
        string map = WriteMap();
        if (Environment.GetEnvironmentVariable("SPEC_MAP") == "write")
        {
            File.WriteAllText(path, map);
        }
        Assert.True(File.Exists(path) && File.ReadAllText(path) == map, $"{Map} is not up to date: make conformance writes it");
    }

    private static string WriteMap()
    {
        StringBuilder map = new();
        map.Append("# The specification's requirements on drivers, and what shows that they are kept\n\n")
            .Append("Written by `make conformance` from the tests' traits and from tests/spec/reasons.tsv. The clauses are those of virtio 1.4.\n");
        WriteTable(map, Drivers, Requirement, Reasons);
        map.Append("\n# The requirements on devices that the fakes keep\n\n")
            .Append("A fake device that breaks them would be no judge of drivers. These are a selection; what shows them are tests of the fakes themselves, in\n")
            .Append("tests/fakestests, and tests/spec/device-reasons.tsv has the reasons.\n");
        WriteTable(map, Devices, DeviceRequirement, DeviceReasons);
        return map.ToString();
    }

    private static void WriteTable(StringBuilder map, string table, string trait, string reasonTable)
    {
        ILookup<string, string> tests = Cited(trait).ToLookup(each => each.Id, each => each.Test);
        Dictionary<string, string> reasons = Rows(reasonTable).ToDictionary(row => row[0], row => row[2]);
        string section = "";
        foreach (string[] row in Rows(table))
        {
            string clause = row[1].Split('[')[0].Trim();
            if (clause != section)
            {
                section = clause;
                map.Append("\n## ").Append(section).Append("\n\n| id | level | requirement | shown by |\n|---|---|---|---|\n");
            }
            string[] by = [.. tests[row[0]].Distinct().Order(StringComparer.Ordinal)];
            string shown = by.Length == 0 ? "*" + reasons.GetValueOrDefault(row[0], "nothing") + "*"
                : string.Join("<br>", by.Take(MostNamed)) + (by.Length > MostNamed ? $"<br>and {by.Length - MostNamed} more" : "");
            map.Append("| ").Append(row[0]).Append(" | ").Append(row[3]).Append(" | ").Append(row[4].Replace("|", "\\|")).Append(" | ");
            map.Append(shown).Append(" |\n");
        }
    }

    private static IEnumerable<string[]> Rows(string table) =>
        SourceTree.Lines(table).Skip(1).Where(line => line.Length != 0).Select(line => line.Split('\t'));

    private static IEnumerable<string> Ids(string table) => SourceTree.Lines(table).Skip(1).Select(line => line.Split('\t')[0]);

    private static IEnumerable<(string Test, string Id)> Cited(string name)
    {
        foreach (Type type in typeof(SpecMapTests).Assembly.GetTypes())
        {
            foreach (MemberInfo member in type.GetMethods().Cast<MemberInfo>().Append(type))
            {
                foreach (CustomAttributeData trait in member.GetCustomAttributesData().Where(data => data.AttributeType == typeof(TraitAttribute)))
                {
                    if ((string?)trait.ConstructorArguments[0].Value == name)
                    {
                        yield return (member == type ? $"every test of {type.Name}" : $"{type.Name}.{member.Name}", (string)trait.ConstructorArguments[1].Value!);
                    }
                }
            }
        }
        foreach (HostileCase fault in name == Requirement ? HostileCases.All : [])
        {
            foreach (string id in fault.Requirements.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                yield return ($"hostile case {fault.Id}", id);
            }
        }
    }
}
