// What the fuzzer kept, once more, and some bytes of no meaning: without feedback, in every run of the tests.
using VirtioSharp.Tests.Architecture;
using Xunit;

namespace VirtioSharp.Tests.Fuzz;

/// <summary>Each line of a corpus is an input in base64; `make fuzz` adds those that reach something new.</summary>
public sealed class FuzzCorpusTests
{
    private const int RandomInputs = 300;

    /// <summary>The targets.</summary>
    public static TheoryData<string> Targets => [.. FuzzTargets.All.Keys];

    [Theory]
    [MemberData(nameof(Targets))]
    public void Every_input_of_the_corpus_comes_to_an_end_with_nothing_wrong(string target)
    {
        string[] lines = SourceTree.Lines($"tests/fuzz/corpus/{target}.txt");
        Assert.NotEmpty(lines);
        foreach (string line in lines)
        {
            Run(target, Convert.FromBase64String(line));
        }
    }

    [Theory]
    [MemberData(nameof(Targets))]
    public void Random_bytes_come_to_an_end_with_nothing_wrong(string target)
    {
        for (int seed = 0; seed < RandomInputs; seed++)
        {
            Random random = new(seed);
            byte[] bytes = new byte[random.Next(1, 200)];
            random.NextBytes(bytes);
            Run(target, bytes);
        }
    }

    private static void Run(string target, byte[] bytes)
    {
        try
        {
            FuzzTargets.All[target](bytes);
        }
        catch (Exception wrong)
        {
            Assert.Fail($"{target} with {Convert.ToBase64String(bytes)}: {wrong}");
        }
    }
}
