// What every source file keeps to.
using Xunit;

namespace VirtioSharp.Tests.Architecture;

/// <summary>First lines, lengths, line widths.</summary>
public sealed class StyleTests
{
    // 400 lines are the aim; this is the wall.
    private const int MostLines = 500;
    private const int MostColumns = 165; // 140 are the aim

    private static readonly string[] Folders = ["drivers", "kernel", "tests"];

    [Fact]
    public void The_first_line_says_what_a_file_is() =>
        Check(file => file.Lines.Length == 0 || !file.Lines[0].StartsWith("// ", StringComparison.Ordinal) ? "no comment in the first line" : null);

    [Fact]
    public void A_file_is_about_one_subject_and_not_long() =>
        Check(file => file.Lines.Length > MostLines ? $"{file.Lines.Length} lines" : null);

    [Fact]
    public void Lines_are_not_wide() => Check(file =>
    {
        int wide = Array.FindIndex(file.Lines, line => line.Length > MostColumns);
        return wide < 0 ? null : $"line {wide + 1} has {file.Lines[wide].Length} columns";
    });

    [Fact]
    public void There_are_no_tabs_and_no_spaces_at_the_end() => Check(file =>
    {
        int wrong = Array.FindIndex(file.Lines, line => line.Contains('\t') || line.EndsWith(' '));
        return wrong < 0 ? null : $"line {wrong + 1}";
    });

    private static void Check(Func<SourceFile, string?> find)
    {
        string[] wrong = [.. Folders.SelectMany(SourceTree.Read).Select(file => (file.Path, What: find(file))).Where(each => each.What is not null)
            .Select(each => $"{each.Path}: {each.What}")];
        Assert.True(wrong.Length == 0, string.Join(Environment.NewLine, wrong));
    }
}
