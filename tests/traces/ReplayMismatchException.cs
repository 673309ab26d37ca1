// A driver that did not do what a trace says.
namespace VirtioSharp.Tests.Traces;

/// <summary>Says where driver and trace parted: the line, its clause, what was expected and what came.</summary>
public sealed class ReplayMismatchException(TraceEvent? expected, string came) : Exception(
    expected is null
        ? $"the trace has ended, and the driver went on: {came}"
        : $"line {expected.Line}: the trace has `{expected.Text}` ({expected.Note}), and {came}")
{
    /// <summary>The line of the trace; 0 behind its end.</summary>
    public int Line { get; } = expected?.Line ?? 0;
}
