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
