// The kernel's command line.
using VirtioSharp.Kernel.Apps;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Apps;

public sealed class BootOptionsTests
{
    [Theory]
    [InlineData("", null)]
    [InlineData("   ", null)]
    [InlineData("run=selftest", "selftest")]
    [InlineData("run=\"disk sha256\"", "disk sha256")]
    [InlineData("ms=20\trun=\"disk sha256; mem\" bench-writes=yes", "disk sha256; mem")]
    [InlineData("\"run=disk sha256\"", "disk sha256")]
    [InlineData("run=", "")]
    public void Run_names_the_commands_and_its_absence_means_a_shell(string line, string? commands)
    {
        BootOptions options = BootOptions.Parse(line);
        Assert.Equal("", options.Error);
        Assert.Equal("", options.Unknown);
        Assert.Equal(commands, options.Run);
    }

    [Theory]
    [InlineData("", true, "")]
    [InlineData("halt-poll=on", true, "")]
    [InlineData("halt-poll=off", false, "")]
    [InlineData("halt-poll=never", false, "halt-poll= takes on or off")]
    public void Looking_before_halting_can_be_switched_off(string line, bool expected, string error)
    {
        BootOptions options = BootOptions.Parse(line);
        Assert.Equal((expected, error), (options.PollsBeforeHalt, options.Error));
    }

    [Theory]
    [InlineData("quiet run=mem", true, "")]
    [InlineData("run=mem", false, "")]
    [InlineData("quiet=yes", true, "quiet takes no value")]
    public void Quiet_is_a_word_of_its_own(string line, bool expected, string error)
    {
        BootOptions options = BootOptions.Parse(line);
        Assert.Equal((expected, error, ""), (options.IsQuiet, options.Error, options.Unknown));
    }

    [Theory]
    [InlineData("run=\"disk sha256")]
    [InlineData("run=mem\" ms=3")]
    [InlineData("\"")]
    public void A_quote_that_is_never_closed_is_an_error(string line) => Assert.Contains("never closed", BootOptions.Parse(line).Error);

    [Theory]
    [InlineData("ms=0")]
    [InlineData("ms=")]
    [InlineData("ms=-1")]
    [InlineData("ms=4294967296")]
    [InlineData("ms=1s")]
    public void A_time_that_is_none_is_an_error(string line) => Assert.Contains("ms= takes a number", BootOptions.Parse(line).Error);

    [Theory]
    [InlineData("ios=0", 0u)]
    [InlineData("ios=8000 ms=1", 8000u)]
    [InlineData("ms=1", 0u)]
    public void A_number_of_requests_is_understood(string line, uint expected)
    {
        BootOptions options = BootOptions.Parse(line);
        Assert.Equal("", options.Error);
        Assert.Equal(expected, options.JobRequests);
    }

    [Theory]
    [InlineData("ios=")]
    [InlineData("ios=many")]
    public void A_number_of_requests_that_is_none_is_an_error(string line) =>
        Assert.Contains("ios= takes a number", BootOptions.Parse(line).Error);

    [Theory]
    [InlineData("ms=4294967295", 4294967295u)]
    [InlineData("run=bench", 1500u)]
    public void The_time_of_a_job_is_taken_or_a_second_and_a_half(string line, uint milliseconds)
    {
        BootOptions options = BootOptions.Parse(line);
        Assert.Equal("", options.Error);
        Assert.Equal(milliseconds, options.JobMilliseconds);
    }

    [Fact]
    public void Unknown_options_are_all_told_and_the_rest_counts()
    {
        BootOptions options = BootOptions.Parse("colour=blue run=mem splash");
        Assert.Equal("colour=blue splash", options.Unknown);
        Assert.Equal("mem", options.Run);
        Assert.Equal("", options.Error);
    }

    [Theory]
    [InlineData("bench-writes=yes", true)]
    [InlineData("bench-writes=no", false)]
    [InlineData("", false)]
    public void A_disk_with_content_is_overwritten_only_by_a_plain_yes(string line, bool allowed) =>
        Assert.Equal(allowed, BootOptions.Parse(line).BenchmarkWrites);

    [Theory]
    [InlineData("bench-writes=maybe")]
    [InlineData("bench-writes=")]
    public void Anything_but_yes_or_no_is_an_error(string line) => Assert.Contains("bench-writes= takes yes or no", BootOptions.Parse(line).Error);

    [Theory]
    [InlineData("pci-access=config", true)]
    [InlineData("pci-access=memory", false)]
    [InlineData("", false)]
    public void The_way_to_the_registers_can_be_chosen(string line, bool throughConfigSpace)
    {
        BootOptions options = BootOptions.Parse(line);
        Assert.Equal(("", ""), (options.Error, options.Unknown));
        Assert.Equal(throughConfigSpace, options.PciThroughConfigSpace);
    }

    [Theory]
    [InlineData("pci-access=ports")]
    [InlineData("pci-access")]
    public void Another_way_to_the_registers_is_an_error(string line) => Assert.Contains("pci-access= takes", BootOptions.Parse(line).Error);

    [Theory]
    [InlineData("", false)]
    [InlineData("trace=on", true)]
    [InlineData("trace=off", false)]
    public void A_trace_is_written_only_when_asked_for(string line, bool traces)
    {
        BootOptions options = BootOptions.Parse(line);
        Assert.Equal("", options.Error);
        Assert.Equal("", options.Unknown);
        Assert.Equal(traces, options.Trace);
    }

    [Theory]
    [InlineData("trace")]
    [InlineData("trace=yes")]
    public void A_trace_is_on_or_off(string line) => Assert.Contains("trace= takes on or off", BootOptions.Parse(line).Error);
}
