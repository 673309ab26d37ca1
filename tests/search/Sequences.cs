// Random sequences of operations: how many, from which seed, and how a failure is shrunk and shown.
using FsCheck;
using FsCheck.Fluent;
using Microsoft.FSharp.Core;

namespace VirtioSharp.Tests.Search;

/// <summary>A scene and what happens in it: numbers that a model decodes, so that any numbers are a sequence.</summary>
public sealed class Sequence(int setup, int[] steps, Func<int, int, string> describe)
{
    /// <summary>What the scene is.</summary>
    public int Setup => setup;

    /// <summary>One number for each step.</summary>
    public int[] Steps => steps;

    /// <summary>The same with other steps.</summary>
    public Sequence With(int[] others) => new(setup, others, describe);

    /// <summary>The scene by its number, then a line for each step.</summary>
    public override string ToString() =>
        string.Join("\n  ", steps.Select(step => describe(setup, step)).Prepend($"setup 0x{setup:X}, steps [{string.Join(", ", steps)}]:"));
}

/// <summary>
/// Runs sequences by FsCheck. SEARCH_SEQUENCES says how many there are in all (100 000); SEARCH_SEED is a number to begin with, or "time".
/// SEARCH_REPLAY="NAME SETUP STEP,STEP,..." runs one sequence: what a failure printed, whatever it was shrunk from.
/// </summary>
public static class Sequences
{
    /// <summary>How many sequences all models run together.</summary>
    public const int Default = 100_000;

    private const int MostSteps = 40;
    private const int StepBits = 24;

    /// <summary>How many there are to be, as a multiple of <see cref="Default"/>.</summary>
    public static double Scale { get; } = double.Parse(Environment.GetEnvironmentVariable("SEARCH_SEQUENCES") ?? $"{Default}") / Default;

    private static ulong Seed { get; } = Environment.GetEnvironmentVariable("SEARCH_SEED") switch
    {
        null => 20261121,
        "time" => (ulong)DateTime.UtcNow.Ticks,
        string given => ulong.Parse(given),
    };

    private static string[] Replayed { get; } = Environment.GetEnvironmentVariable("SEARCH_REPLAY")?.Split(' ', 3) ?? [];

    /// <summary>Runs <paramref name="share"/> sequences, or more in a longer search; the first failure is shrunk, printed and thrown.</summary>
    public static void Check(string name, int share, Func<int, int, string> describe, Action<Sequence> run)
    {
        Gen<Sequence> sequences =
            from setup in Gen.Choose(0, 1 << StepBits)
            from length in Gen.Choose(1, MostSteps)
            from steps in Gen.ArrayOf(Gen.Choose(0, 1 << StepBits), length)
            select new Sequence(setup, steps, describe);
        int count = (int)Math.Max(1, share * Scale);
        // A gamma has to be odd; another one for each model.
        ulong gamma = (ulong)name.Aggregate(1L, (sum, letter) => sum * 31 + letter) | 1;
        Replay replay = new(new Rnd(Seed, gamma), FSharpOption<int>.None);
        if (Replayed.Length == 3)
        {
            if (Replayed[0] == name)
            {
                run(new Sequence(Convert.ToInt32(Replayed[1], 16), [.. Replayed[2].Trim('[', ']').Split(',').Select(int.Parse)], describe));
            }
            return;
        }
        Config config = Config.QuickThrowOnFailure.WithName(name).WithMaxTest(count).WithQuietOnSuccess(true)
            .WithReplay(FSharpOption<Replay>.Some(replay));
        FsCheck.Check.One(config, Prop.ForAll(Arb.From(sequences, Shrink), run));
    }

    /// <summary>Shorter sequences first, by halves, quarters and so on down to one step; then steps with smaller numbers.</summary>
    private static IEnumerable<Sequence> Shrink(Sequence sequence)
    {
        int[] steps = sequence.Steps;
        for (int part = steps.Length / 2; part > 0; part /= 2)
        {
            for (int at = 0; at + part <= steps.Length; at += part)
            {
                yield return sequence.With([.. steps[..at], .. steps[(at + part)..]]);
            }
        }
        for (int i = 0; i < steps.Length; i++)
        {
            // The kind of a step is in its lowest four bits, and its arguments in eight and twelve bits above.
            foreach (int mask in new[] { 0xF, 0xFFF, 0xFF000F, 0x7FFFFF, 0x0FF0FF })
            {
                if ((steps[i] & mask) != steps[i])
                {
                    int[] smaller = [.. steps];
                    smaller[i] &= mask;
                    yield return sequence.With(smaller);
                }
            }
        }
    }
}
