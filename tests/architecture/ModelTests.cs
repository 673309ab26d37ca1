// Every fence has a model in which it is missing, and which fails for that (make model).
using System.IO;
using System.Text.RegularExpressions;
using Xunit;

namespace VirtioSharp.Tests.Architecture;

/// <summary>Compares drivers/virtio/queue/Barriers.cs with the mutants in tests/model.</summary>
public sealed partial class ModelTests
{
    private const string Fences = "drivers/virtio/queue/Barriers.cs";

    // Accesses that need no order of their own, only to be made once and whole: the models make them like any other store or load.
    private static readonly string[] Plain = ["ReadWish", "WriteWish"];

    // What a mutant lacks that is no fence: the comparison of positions across their wrap.
    private static readonly string[] OtherMutants = ["Wrap"];

    [Fact]
    public void Every_fence_has_a_mutant_that_lacks_it()
    {
        string[] missing =
        [
            .. Methods().Where(each => !Plain.Contains(each.Name))
                .SelectMany(each => each.Models.Where(model => !Mutants(model).Contains(each.Name)).Select(model => $"{each.Name} in {model}.pml")),
        ];
        Assert.True(missing.Length == 0, "no mutant lacks " + string.Join(", ", missing));
    }

    [Fact]
    public void Every_mutant_lacks_something_that_there_is()
    {
        string[] known = [.. Methods().Select(each => each.Name), .. OtherMutants];
        foreach (string model in new[] { "split", "packed" })
        {
            Assert.All(Mutants(model), name => Assert.True(name.StartsWith("Device", StringComparison.Ordinal) || known.Contains(name), name));
            Assert.Equal(4, Mutants(model).Count(name => name.StartsWith("Device", StringComparison.Ordinal))); // the other half of each pair
        }
    }

    [Fact]
    public void Full_fences_are_in_one_file()
    {
        string[] elsewhere =
        [
            .. SourceTree.Read("drivers").Where(file => file.Path != Fences)
                .SelectMany(file => file.Code().Where(line => line.Code.Contains("MemoryBarrier")).Select(line => $"{file.Path}:{line.Number}")),
        ];
        Assert.True(elsewhere.Length == 0, string.Join(Environment.NewLine, elsewhere));
    }

    // A comment that begins with a format says that the method is for this one only.
    private static IEnumerable<(string Name, string[] Models)> Methods()
    {
        string text = string.Join('\n', SourceTree.Lines(Fences));
        (string Name, string[] Models)[] methods =
        [
            .. Method().Matches(text).Select(match => (match.Groups["name"].Value, match.Groups["format"].Value switch
            {
                "Split" => new[] { "split" },
                "Packed" => ["packed"],
                _ => ["split", "packed"],
            })),
        ];
        Assert.Equal(Regex.Count(text, "public static [a-z]+ "), methods.Length);
        Assert.Contains(methods, each => each.Name == "BetweenPublishAndWish" && each.Models.Length == 2);
        return methods;
    }

    private static HashSet<string> Mutants(string model) =>
        [.. SourceTree.Lines($"tests/model/{model}.pml").SelectMany(line => Mutant().Matches(line)).Select(match => match.Groups[1].Value)];

    [GeneratedRegex(@"<summary>\s*(///\s*)?((?<format>Split|Packed): )?((?!<summary>)[\s\S])*?public static [a-z]+ (?<name>\w+)\(")]
    private static partial Regex Method();

    [GeneratedRegex(@"^#\s*ifn?def WITHOUT_(\w+)")]
    private static partial Regex Mutant();
}
