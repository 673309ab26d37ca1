// Results that are kept in the tree.
namespace VirtioSharp.Bench;

/// <summary>bench/results: one file for each kept result, and a picture of all.</summary>
internal static class History
{
    private const string Folder = "bench/results";

    /// <summary>Keeps a result; answers with the files that were written.</summary>
    public static string Keep(BenchResult result)
    {
        Directory.CreateDirectory(Folder);
        string name = $"{Folder}/{result.Date.Replace(" ", "T", StringComparison.Ordinal).Replace(":", "", StringComparison.Ordinal)}-{result.Commit.TrimEnd('+')}.json";
        result.Write(name);
        List<BenchResult> all = [.. Directory.GetFiles(Folder, "20*.json").Order(StringComparer.Ordinal).Select(BenchResult.Read)];
        Plots.DrawHistory(all, $"{Folder}/history.svg");
        Plots.Draw(all[^1], $"{Folder}/latest.svg");
        return $"{name}, {Folder}/history.svg, {Folder}/latest.svg";
    }
}
