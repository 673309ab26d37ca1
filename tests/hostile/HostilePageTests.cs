// The page of hostile cases says what the tests say.
using System.IO;
using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using VirtioSharp.Tests.Architecture;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>docs/hostile-cases.md is written from the tables of cases and from the names of tests (<c>tools/mark-hostile-cases</c>).</summary>
public sealed partial class HostilePageTests
{
    private const string Page = "docs/hostile-cases.md";
    private const int Cases = 207;

    [Fact]
    public void Ids_of_cases_are_there_once_and_belong_to_the_list()
    {
        string[] ids = [.. HostileCases.All.Select(fault => fault.Id)];
        Assert.Equal(ids.Length, ids.Distinct().Count());
        Assert.Empty(HostileCases.All.Select(fault => fault.Of).Except(Rows().Select(row => row.Id)));
        Assert.All(HostileCases.All, fault => Assert.NotEmpty(fault.Places));
    }

    [Fact]
    public void Every_case_of_the_list_has_a_test()
    {
        HashSet<string> tested = [.. HostileCases.All.Select(fault => fault.Of), .. Named().Select(test => test.Id)];
        string[] without = [.. Rows().Select(row => row.Id).Where(id => !tested.Contains(id))];
        Assert.True(without.Length == 0, string.Join(' ', without));
        Assert.Equal(Cases, Rows().Count());
    }

    [Fact]
    public void Every_place_has_cases_and_none_is_left_out()
    {
        // Whoever adds a transport, a ring or a way to interrupt adds it to Place, and has all cases there.
        Assert.Equal(18 + 14 + 6 + 10 + 4, Place.All.Count(place => place.Memory == Memories.Lent));
        Assert.Equal(6 + 6 + 2 + 6 + 2, Place.All.Count(place => place.Memory == Memories.Bare));
        Assert.All(Place.All, place => Assert.InRange(HostileCases.All.Count(fault => fault.Fits(place)), 25, 1000));
    }

    [Fact]
    public void The_page_is_what_the_tests_say()
    {
        string path = Path.Combine(SourceTree.Root, Page);
        string page = WritePage();
        if (Environment.GetEnvironmentVariable("HOSTILE_CASES") == "write")
        {
            File.WriteAllText(path, page);
        }
        Assert.True(File.ReadAllText(path) == page, $"{Page} is not up to date: tools/mark-hostile-cases writes it");
    }

    [GeneratedRegex(@"^\| ([A-Z]\d\d) \| ((?:[^|]|\|(?! ))+) \|")]
    private static partial Regex Row();

    [GeneratedRegex(@"^[A-Z]\d\d(?=_)")]
    private static partial Regex Id();

    private static IEnumerable<(string Id, string What)> Rows() =>
        SourceTree.Lines(Page).Select(line => Row().Match(line)).Where(match => match.Success).Select(match => (match.Groups[1].Value, match.Groups[2].Value));

    private static string WritePage()
    {
        ILookup<string, HostileCase> data = HostileCases.All.ToLookup(fault => fault.Of);
        ILookup<string, int> named = Named().ToLookup(test => test.Id, test => test.Instances);
        StringBuilder page = new();
        foreach (string line in SourceTree.Lines(Page))
        {
            Match row = Row().Match(line);
            if (!row.Success)
            {
                page.Append(line).Append('\n');
                continue;
            }
            string id = row.Groups[1].Value;
            IEnumerable<string> outcomes = data[id].SelectMany(fault => fault.Places.Select(fault.ExpectedAt)).Distinct()
                .Select(outcome => outcome.ToString().ToLowerInvariant()).Order(StringComparer.Ordinal);
            string words = string.Join(", ", named[id].Any() ? outcomes.Append("test") : outcomes);
            int instances = data[id].Sum(fault => fault.Places.Count()) + named[id].Sum();
            page.Append($"| {id} | {row.Groups[2].Value} | {(words.Length == 0 ? "no" : words)} | {instances} |\n");
        }
        return page.ToString();
    }

    /// <summary>Tests that are named after a case, with how often they are run.</summary>
    private static IEnumerable<(string Id, int Instances)> Named()
    {
        foreach (MethodInfo method in typeof(HostilePageTests).Assembly.GetTypes().SelectMany(type => type.GetMethods()))
        {
            Match id = Id().Match(method.Name);
            if (!id.Success || method.GetCustomAttribute<FactAttribute>() is null)
            {
                continue;
            }
            int instances = method.GetCustomAttributes<InlineDataAttribute>().Count();
            foreach (MemberDataAttribute member in method.GetCustomAttributes<MemberDataAttribute>())
            {
                instances += ((IEnumerable<object[]>)method.DeclaringType!.GetProperty(member.MemberName)!.GetValue(null)!).Count();
            }
            yield return (id.Value, Math.Max(1, instances));
        }
    }
}
