// The twelve checks that every guest driver needs: where they are, what breaks them, and which tests find out.
using System.IO;
using System.Reflection;
using System.Text;
using VirtioSharp.Tests.Architecture;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>
/// tests/hostile/twelve-checks.tsv names for each check the code that makes it, a change that breaks it, and the tests that fail then. tools/prove-checks
/// makes the changes one by one, and sees that they do. docs/twelve-checks.md is written from it. tests/hostile/planted.tsv is the same for hostile cases:
/// the bug for which a case is there.
/// </summary>
public sealed class TwelveChecksTests
{
    private const string Table = "tests/hostile/twelve-checks.tsv";
    private const string Planted = "tests/hostile/planted.tsv";
    private const string Page = "docs/twelve-checks.md";

    [Fact]
    public void There_are_twelve_and_each_has_a_change_that_breaks_it()
    {
        Assert.Equal(Enumerable.Range(1, 12), Rows().Select(row => int.Parse(row.Number)).Distinct());
        Assert.Equal(12, Rows().Select(row => row.Check).Distinct().Count());
    }

    [Fact]
    public void The_code_that_makes_a_check_is_where_the_table_says() => Assert.All(Rows().Concat(Rows(Planted)), row =>
    {
        int count = File.ReadAllText(Path.Combine(SourceTree.Root, row.File)).Split(row.Code).Length - 1;
        Assert.True(count == 1, $"{row.File} has it {count} times; if it is done otherwise now, the table has to say how: {row.Code}");
    });

    [Fact]
    public void The_tests_that_find_out_exist()
    {
        HashSet<string> names = [.. typeof(TwelveChecksTests).Assembly.GetTypes().SelectMany(type => type.GetMethods())
            .Where(method => method.GetCustomAttribute<FactAttribute>() is not null).Select(method => method.Name)];
        names.UnionWith(HostileCases.All.Select(fault => fault.Id));
        Assert.All(Rows().Concat(Rows(Planted)).SelectMany(row => row.Tests), test => Assert.Contains(test, names));
    }

    [Fact]
    public void The_page_is_what_the_table_says()
    {
        string path = Path.Combine(SourceTree.Root, Page);
        string page = WritePage();
        if (Environment.GetEnvironmentVariable("HOSTILE_CASES") == "write")
        {
            File.WriteAllText(path, page);
        }
        Assert.True(File.Exists(path) && File.ReadAllText(path) == page, $"{Page} is not up to date: tools/mark-hostile-cases writes it");
    }

    private static string WritePage()
    {
        StringBuilder page = new();
        page.Append("# The twelve checks\n\n")
            .Append("What a driver has to look at that does not trust its device, and what most drivers leave out. Each check is named with the code that\n")
            .Append("makes it, a change that breaks it, and the tests that fail then: hostile cases (`tests/hostile`) by their ids, others by their names.\n")
            .Append("`tools/prove-checks` makes the changes one by one in a copy of the sources and sees that all of these tests fail; a run that never ends\n")
            .Append($"counts as one. This page is written from `{Table}`, and a test fails when the code or a test is no longer there.\n\n")
            .Append("| | check | where | broken when it becomes | found by |\n|---|---|---|---|---|\n");
        string before = "";
        foreach (Row row in Rows())
        {
            string check = row.Check == before ? "" : row.Check;
            string number = row.Check == before ? "" : row.Number;
            before = row.Check;
            string tests = string.Join(' ', row.Tests.Select(test => $"`{test}`"));
            page.Append($"| {number} | {check} | `{Path.GetFileName(row.File)}`: {Code(row.Code)} | {Code(row.Broken)} | {tests} |\n");
        }
        return page.ToString();
    }

    private static string Code(string code)
    {
        string[] lines = [.. code.Split('\n').Select(line => line.Trim()).Where(line => line.Length != 0)];
        return lines.Length == 0 ? "nothing" : string.Join(" ", lines.Select(line => $"`{line.Replace("|", "\\|")}`"));
    }

    private static IEnumerable<Row> Rows(string table = Table) => SourceTree.Lines(table).Skip(1).Where(line => line.Length != 0).Select(line => line.Split('\t'))
        .Select(cells => new Row(cells[0], cells[1], cells[3], Text(cells[4]), Text(cells[5]), cells[6].Split(' ')));

    private static string Text(string cell) => cell.Replace("\\n", "\n");

    private sealed record Row(string Number, string Check, string File, string Code, string Broken, string[] Tests);
}
