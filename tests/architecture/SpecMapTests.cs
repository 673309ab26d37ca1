// Which requirement of the specification has which test.
using System.Reflection;
using VirtioSharp.Tests.Hostile;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Architecture;

/// <summary>Tests cite requirements by <c>[Trait("Requirement", "CORE-STATUS-2")]</c>; the ids are those of tests/spec.</summary>
public sealed class SpecMapTests(ITestOutputHelper output)
{
    /// <summary>The name of the trait.</summary>
    public const string Requirement = "Requirement";

    private static readonly string[] Tables = ["tests/spec/driver-requirements.tsv", "tests/spec/device-requirements.tsv"];

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
    public void The_requirements_without_a_test_are_listed()
    {
        HashSet<string> cited = [.. Cited().Select(each => each.Id)];
        Assert.NotEmpty(cited);
        string[] without = [.. Ids(Tables[0]).Where(id => !cited.Contains(id))];
        output.WriteLine($"{Ids(Tables[0]).Count() - without.Length} requirements on drivers are cited by tests, {without.Length} are not:");
        output.WriteLine(string.Join(' ', without));
    }

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
                        yield return ($"{type.Name}.{member.Name}", (string)trait.ConstructorArguments[1].Value!);
                    }
                }
            }
        }
        foreach (FaultCase fault in HostileDeviceTests.Everything)
        {
            foreach (string id in fault.Requirements.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                yield return ($"hostile case {fault.Id}", id);
            }
        }
    }
}
