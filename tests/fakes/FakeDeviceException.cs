// A rule of the specification, or of the seams, that was broken: fails the test at once.
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Text;
using Xunit;

namespace VirtioSharp.Tests.Fakes;

/// <summary>Thrown where a rule is broken; it passes through the driver up to the test.</summary>
public sealed class FakeDeviceException(string message) : Exception(message);

/// <summary>
/// The rules broken in one machine. They are kept as well as thrown, so that a test fails even where the exception got lost.
/// </summary>
public sealed class ViolationLog
{
    private readonly List<string> _entries = [];

    /// <summary>What was broken so far.</summary>
    public IReadOnlyList<string> Entries => _entries;

    /// <summary>Notes that a rule was broken, and throws.</summary>
    [DoesNotReturn]
    public void Break(string what)
    {
        _entries.Add(what);
        throw new FakeDeviceException(what);
    }

    /// <summary>Notes that a rule was broken, where nobody could catch what is thrown.</summary>
    public void Note(string what) => _entries.Add(what);

    /// <summary>Notes a broken rule unless <paramref name="condition"/> holds.</summary>
    public void Require([DoesNotReturnIf(false)] bool condition, string what)
    {
        if (!condition)
        {
            Break(what);
        }
    }

    /// <summary>The same with a text that is put together only when the rule was broken.</summary>
    public void Require([DoesNotReturnIf(false)] bool condition, [InterpolatedStringHandlerArgument(nameof(condition))] RuleMessage what)
    {
        if (!condition)
        {
            Break(what.ToString());
        }
    }

    /// <summary>Fails when a rule was broken.</summary>
    public void AssertEmpty() => Assert.True(_entries.Count == 0, string.Join(Environment.NewLine, _entries));

    /// <summary>For tests of the fakes themselves: the rule was broken as wanted.</summary>
    public void Forgive() => _entries.Clear();
}

/// <summary>The text for a broken rule; nothing when it was kept, which is what happens millions of times.</summary>
[InterpolatedStringHandler]
public readonly ref struct RuleMessage
{
    private readonly StringBuilder? _text;

    /// <summary>Called by the compiler.</summary>
    public RuleMessage(int literalLength, int formattedCount, bool condition, out bool isWanted)
    {
        isWanted = !condition;
        _text = condition ? null : new StringBuilder(literalLength + 8 * formattedCount);
    }

    /// <summary>Called by the compiler.</summary>
    public void AppendLiteral(string text) => _text!.Append(text);

    /// <summary>Called by the compiler.</summary>
    public void AppendFormatted<T>(T value) => _text!.Append(value);

    /// <summary>Called by the compiler.</summary>
    public void AppendFormatted<T>(T value, string format)
        where T : IFormattable => _text!.Append(value.ToString(format, null));

    /// <inheritdoc/>
    public override string ToString() => _text?.ToString() ?? "";
}
