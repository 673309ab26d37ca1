// Used entries that look like what the driver notes of buffers that keep their descriptors, or of none (virtio 2.7.8), over every transport.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>
/// Without an IOMMU frames keep their descriptors. The entry comes behind a right one, in the same look at the ring: only then it is
/// compared with what is expected.
/// </summary>
public sealed class HostileFramesTests
{
    private const uint NoTrueId = 1u << 31;

    /// <summary>Each transport with each ring, with each way to interrupt, and without an IOMMU.</summary>
    public static TheoryData<string> Everywhere => Place.Everywhere;

    /// <summary>With ids of no buffer in flight: marks of the driver's notes, of which a packed ring has the lower half only, and the highest true one.</summary>
    public static TheoryData<string, uint, uint> Entries
    {
        get
        {
            TheoryData<string, uint, uint> data = [];
            foreach (string place in Place.Everywhere)
            {
                foreach ((uint id, uint length) in new[] { (uint.MaxValue, uint.MaxValue), (uint.MaxValue, 513u), (NoTrueId, 513u), (63u, uint.MaxValue) })
                {
                    if (id != NoTrueId || !Place.Named(place).IsPacked)
                    {
                        data.Add(place, id, length);
                    }
                }
            }
            return data;
        }
    }

    /// <summary>Split rings, whose used ids have 32 bits.</summary>
    public static TheoryData<string> WithLongIds => Place.Where(place => !place.IsPacked);

    [Theory]
    [MemberData(nameof(Entries))]
    public void An_entry_for_a_buffer_that_is_not_in_flight_breaks_the_queue(string place, uint id, uint length)
    {
        using DiskStory story = new(place);
        (TestRequest right, TestRequest other) = ServeOneOfTwo(story, out _);
        story.Queue.PushUsed(id, length);
        story.Disk.Poll();
        ExpectRecovery(story, right, other);
    }

    [Theory]
    [MemberData(nameof(WithLongIds))]
    public void The_mark_of_a_buffer_in_no_frame_is_not_taken_for_its_id(string place)
    {
        using DiskStory story = new(place);
        story.Device.HoldsBack = true;
        TestRequest right = story.Read(1);
        TestRequest scattered = new();
        scattered.Prepare(BlockOperation.Read, 2, [story.Allocate(512), story.Allocate(512)]);
        Assert.Equal(IoStatus.Ok, story.Disk.Submit(scattered));
        story.Disk.Kick();
        story.Machine.Run();
        Assert.Equal(3, story.Disk.PartsInFlight); // cut, since the device takes one piece at a time
        uint head = story.Device.HeldBack[1].Head;
        story.Device.Complete(0);
        story.Queue.PushUsed(NoTrueId | head, 513);
        story.Disk.Poll();
        ExpectRecovery(story, right, scattered);
        Assert.Equal(story.Device.Disk[(3 * 512)..(4 * 512)], scattered.Buffers[1].Span.ToArray());
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void A_buffer_in_a_frame_can_be_used_once_only(string place)
    {
        using DiskStory story = new(place);
        (TestRequest right, TestRequest other) = ServeOneOfTwo(story, out uint id);
        story.Queue.PushUsed(id, 513);
        story.Disk.Poll();
        ExpectRecovery(story, right, other);
    }

    private static (TestRequest Right, TestRequest Other) ServeOneOfTwo(DiskStory story, out uint id)
    {
        TestRequest[] requests = story.ReadHeld(1, 2);
        id = story.Device.HeldBack[0].Head;
        story.Device.Complete(0);
        return (requests[0], requests[1]);
    }

    private static void ExpectRecovery(DiskStory story, TestRequest right, TestRequest other)
    {
        Assert.Equal((1ul, 1, 0), (story.Disk.Recoveries, right.Completions, other.Completions));
        story.Device.HoldsBack = false;
        story.Finish(other);
        story.EndedWell(right, other);
        story.Works();
    }
}
