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
/// Tests cite requirements by <c>[Trait("Requirement", "CORE-STATUS-2")]</c>; the ids are those of tests/spec. What no test can show has a reason in
/// tests/spec/reasons.tsv. docs/spec-map.md is written from both (<c>make conformance</c>).
/// </summary>
public sealed class SpecMapTests(ITestOutputHelper output)
{
    /// <summary>The name of the trait.</summary>
    public const string Requirement = "Requirement";

    private const string Map = "docs/spec-map.md";
    private const string Drivers = "tests/spec/driver-requirements.tsv";
    private const string Devices = "tests/spec/device-requirements.tsv";
    private const string Reasons = "tests/spec/reasons.tsv";
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
        HashSet<string> known = [.. Ids(Tables[0]), .. Ids(Tables[1])];
        string[] unknown = [.. Cited().Where(each => !known.Contains(each.Id)).Select(each => $"{each.Test} cites {each.Id}")];
        Assert.True(unknown.Length == 0, string.Join(Environment.NewLine, unknown));
    }

    [Fact]
    public void Every_requirement_on_drivers_has_a_test_or_a_reason_and_not_both()
    {
        HashSet<string> cited = [.. Cited().Select(each => each.Id)];
        HashSet<string> explained = [.. Rows(Reasons).Select(row => row[0])];
        string[] without = [.. Ids(Drivers).Where(id => !cited.Contains(id) && !explained.Contains(id))];
        string[] both = [.. explained.Where(cited.Contains)];
        output.WriteLine($"{Ids(Drivers).Count(cited.Contains)} of {Ids(Drivers).Count()} requirements are shown by tests, {explained.Count} have a reason");
        Assert.True(without.Length == 0, "neither a test nor a reason: " + string.Join(' ', without));
        Assert.True(both.Length == 0, "a test, so the reason can go: " + string.Join(' ', both));
    }

    [Fact]
    public void Every_reason_is_of_a_requirement_that_exists_and_says_something()
    {
        HashSet<string> known = [.. Ids(Drivers)];
        Assert.All(Rows(Reasons), row => Assert.True(row.Length == 3 && known.Contains(row[0]) && row[2].Length > 20, string.Join(' ', row)));
        Assert.Equal(Rows(Reasons).Count(), Rows(Reasons).Select(row => row[0]).Distinct().Count());
    }

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
        ILookup<string, string> tests = Cited().ToLookup(each => each.Id, each => each.Test);
        Dictionary<string, string> reasons = Rows(Reasons).ToDictionary(row => row[0], row => row[2]);
        StringBuilder map = new();
        map.Append("# The specification's requirements on drivers, and what shows that they are kept\n\n")
            .Append("Written by `make conformance` from the tests' traits and from tests/spec/reasons.tsv. The clauses are those of virtio 1.4.\n");
        string section = "";
        foreach (string[] row in Rows(Drivers))
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
            map.Append("| ").Append(row[0]).Append(" | ").Append(row[3]).Append(" | ").Append(row[4].Replace("|", "\\|")).Append(" | ").Append(shown).Append(" |\n");
        }
        return map.ToString();
    }

    private static IEnumerable<string[]> Rows(string table) =>
        SourceTree.Lines(table).Skip(1).Where(line => line.Length != 0).Select(line => line.Split('\t'));

    private static IEnumerable<string> Ids(string table) => SourceTree.Lines(table).Skip(1).Select(line => line.Split('\t')[0]);

    private static IEnumerable<(string Test, string Id)> Cited()
    {
        foreach (Type type in typeof(SpecMapTests).Assembly.GetTypes())
        {
            foreach (MemberInfo member in type.GetMethods().Cast<MemberInfo>().Append(type))
            {
                foreach (CustomAttributeData trait in member.GetCustomAttributesData().Where(data => data.AttributeType == typeof(TraitAttribute)))
                {
                    if ((string?)trait.ConstructorArguments[0].Value == Requirement)
                    {
                        yield return (member == type ? $"every test of {type.Name}" : $"{type.Name}.{member.Name}", (string)trait.ConstructorArguments[1].Value!);
                    }
                }
            }
        }
        foreach (HostileCase fault in HostileCases.All)
        {
            foreach (string id in fault.Requirements.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                yield return ($"hostile case {fault.Id}", id);
            }
        }
    }
}
