// Random sequences of operations and of what a device does, each step compared with a plain model.
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>100 000 sequences in every run of the tests; `make soak` runs ten million.</summary>
public sealed class QueueModelTests
{
    [Fact]
    public void A_virtqueue_does_what_the_model_of_one_does() =>
        Sequences.Check("queue", 60_000, QueueModel.Describe, QueueModel.Run);
}

/// <summary>The same for a disk.</summary>
public sealed class DiskModelTests
{
    [Fact]
    public void A_disk_shows_only_what_the_model_of_one_could_show() =>
        Sequences.Check("disk", 25_000, DiskModel.Describe, DiskModel.Run);
}

/// <summary>The same for a console.</summary>
public sealed class ConsoleModelTests
{
    [Fact]
    public void A_console_moves_every_byte_that_the_model_of_one_moves() =>
        Sequences.Check("console", 15_000, ConsoleModel.Describe, ConsoleModel.Run);
}
