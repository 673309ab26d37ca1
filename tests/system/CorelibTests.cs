// The corelib against .NET: the same program, the same lines.
using VirtioSharp.Tests.Corelib;
using Xunit;

namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed class CorelibTests
{
    [Fact]
    public void The_same_program_prints_the_same_on_both_runtimes()
    {
        List<string> expected = [];
        CorelibChecks.Run(expected.Add);
        Assert.True(expected.Count > 80);
        KernelResult result = KernelRun.Boot("q35", "run=corelib");
        Assert.True(result.ExitCode == 33, result.Serial);
        string[] lines = result.Serial.Replace("\r", "").Split('\n');
        int first = Array.IndexOf(lines, expected[0]);
        Assert.True(first >= 0, result.Serial);
        Assert.Equal(expected, lines.Skip(first).Take(expected.Count));
    }
}
