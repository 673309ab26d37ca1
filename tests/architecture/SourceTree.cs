// The sources of this repository, as the architecture tests read them.
using System.IO;
using System.Text.RegularExpressions;

namespace VirtioSharp.Tests.Architecture;

/// <summary>One source file: its path from the root with slashes, and its lines.</summary>
public sealed partial record SourceFile(string Path, string[] Lines)
{
    /// <summary>The lines without comments and without what is in string literals, with their numbers from 1.</summary>
    public IEnumerable<(int Number, string Code)> Code()
    {
        for (int i = 0; i < Lines.Length; i++)
        {
            string line = Literal().Replace(Lines[i], "\"\"");
            int comment = line.IndexOf("//", StringComparison.Ordinal);
            yield return (i + 1, comment < 0 ? line : line[..comment]);
        }
    }

    [GeneratedRegex("\"(\\\\.|[^\"\\\\])*\"|'(\\\\.|[^'\\\\])'")]
    private static partial Regex Literal();
}

/// <summary>Finds the root of the repository and reads files below it.</summary>
public static class SourceTree
{
    /// <summary>The folder of the checkout.</summary>
    public static readonly string Root = FindRoot();

    /// <summary>All C# files below a folder.</summary>
    public static IReadOnlyList<SourceFile> Read(string folder)
    {
        string start = Path.Combine(Root, folder);
        return
        [
            .. Directory.EnumerateFiles(start, "*.cs", SearchOption.AllDirectories)
                .Select(path => new SourceFile(Path.GetRelativePath(Root, path).Replace('\\', '/'), File.ReadAllLines(path)))
                .Where(file => !file.Path.Contains("/obj/") && !file.Path.Contains("/bin/"))
                .OrderBy(file => file.Path, StringComparer.Ordinal),
        ];
    }

    /// <summary>The lines of one file.</summary>
    public static string[] Lines(string path) => File.ReadAllLines(Path.Combine(Root, path));

    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Directory.Packages.props")))
        {
            folder = folder.Parent;
        }
        return folder?.FullName ?? throw new InvalidOperationException("the tests do not lie within the repository");
    }
}
