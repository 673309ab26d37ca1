// Traces of QEMU's devices.
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Traces;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestRecordings
{
    [Theory]
    [InlineData("qemu-blk-split", "", QtestBus.Pci)]
    [InlineData("qemu-blk-packed", ",packed=on", QtestBus.Pci)]
    [InlineData("qemu-blk-mmio", "", QtestBus.Mmio)]
    [InlineData("qemu-blk-mmio-legacy", "", QtestBus.LegacyMmio)]
    [InlineData("qemu-blk-polled", "", QtestBus.PolledPci)]
    public void A_trace_of_a_disk_is_replayed(string name, string more, QtestBus bus)
    {
        using TraceRecording recording = new();
        using (QtestBlockBackend backend = new(new BlockSetup(), more, bus: bus))
        {
            Scenarios.UseDisk(backend);
        }
        RecordedTraces.Check(recording.Lines, name, "A disk of QEMU 7.2 over qtest: reads, writes, a flush, several at once, scattered; then removed.");
    }

    [Theory]
    [InlineData("qemu-console", ",max_ports=2")]
    [InlineData("qemu-console-packed", ",max_ports=2,packed=on")]
    public void A_trace_of_a_console_is_replayed(string name, string more)
    {
        using TraceRecording recording = new();
        using (QtestConsoleBackend backend = new(more))
        {
            Scenarios.UseConsole(backend);
        }
        RecordedTraces.Check(recording.Lines, name, "A console of QEMU 7.2 over qtest: text out and in, twice; then removed.");
    }
}
