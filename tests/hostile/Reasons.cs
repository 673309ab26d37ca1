// What the driver says when it refuses, resets or gives up a device: it has to name what is wrong, not only that something is.
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>
/// The beginning of each reason and message, and the cases that have to end with it. Every case is in here that is refused, breaks the device, or has
/// requests whose time is up.
/// </summary>
internal static class Reasons
{
    private static readonly (string Reason, string Cases)[] s_reasons =
    [
        ("the common configuration lies in a BAR that the device does not have", "B01 B03 B13 L11 L11b"),
        ("BAR 0 does not hold the registers of the legacy interface, or nobody assigned it", "B01b B02d B02e B04c"),
        ("the common configuration lies in a BAR without a usable address", "B02b B04 B05a B05b B05c B05d B06 B12 L17d"),
        ("the common configuration lies outside its BAR", "B07 B08 B17"),
        ("the common configuration is shorter than it has to be", "B09 B10"),
        ("nobody answers: the status of the device reads as ones", "B14 L17c M03"),
        ("the common configuration is not aligned", "B16"),
        ("the function does not let itself be enabled", "B18 B18b C11"),
        ("there is no usable capability for the common configuration", "C08 C09 L01 L06 L07 L13 L17"),
        ("the device does not offer VERSION_1", "F01 F03 F04 F05 L17b M22"),
        ("seg_max or size_max leaves no room for a single block", "F10a F10b F10c G04b"),
        ("the capacity can't be read: the configuration is too short or never holds still", "G01 G01b G04a L16"),
        ("the capacity in bytes does not fit 64 bits", "G06"),
        ("the device lacks a queue that its type has", "G12 M08 M10 M19"),
        ("there is no usable capability for the region for notifications", "L03 L04 L08 L14"),
        ("there is no usable capability for the interrupt status", "L15"),
        ("the MSI-X table lies over the registers", "L20 L20b"),
        ("the device does not come out of reset", "M01"),
        ("the device did not accept the features", "M04"),
        ("the device asked for a reset while it was set up", "M06"),
        ("the device offers a queue size that is no power of two up to 32768", "M11 M12"),
        ("a queue of fewer than 4 descriptors can't hold a request", "M12c"),
        ("the device does not take the size that it was given for a queue", "M13"),
        ("the device changed the size of a queue", "M13b"),
        ("the device has a queue enabled after its reset", "M14 M21a"),
        ("the device does not take the place of a queue, or does not enable it", "M15 M15b M15c"),
        ("the doorbell of a queue lies outside the region for notifications", "M16"),
        ("a notify_off_multiplier that is no even power of two", "M17a M17b M17c"),
        ("a queue lies where the legacy interface can't name it", "M21b"),
    ];

    private static readonly (string Message, string Cases)[] s_messages =
    [
        ("virtio: the device asks for a reset; its status", "M07 M07c R11b R12"),
        ("virtio: the device does not answer any more; its status", "R01 R01b R11"),
        ("virtqueue: a descriptor is neither available nor used", "P04 P04b"),
        ("virtqueue: a used id is beyond the queue", "P01 P01b U01 U02 U03 U04b U04c"),
        ("virtqueue: a used id is of a buffer that the used index has not passed", "U23b"),
        ("virtqueue: a used id was not in flight", "P02 P03 U04 U05 U06"),
        ("virtqueue: the used index says that more buffers were used than were made available", "U04c U07 U08 U25"),
        ("virtio-blk: a request was not done in time; requests that were done before", "P07 P08 P11 P12 R12b U10 U23c U25b U27"),
    ];

    /// <summary>All cases that have a reason.</summary>
    internal static IEnumerable<string> Refused => s_reasons.SelectMany(each => each.Cases.Split(' '));

    /// <summary>All cases that have a message.</summary>
    internal static IEnumerable<string> Broken => s_messages.SelectMany(each => each.Cases.Split(' ')).Distinct();

    /// <summary>What has to be said when a device is refused because of a case.</summary>
    internal static string Of(string id) => s_reasons.Single(each => each.Cases.Split(' ').Contains(id)).Reason;

    /// <summary>What may be logged when a device has to be reset or given up because of a case: it depends on the ring.</summary>
    internal static IEnumerable<string> MessagesOf(string id) =>
        s_messages.Where(each => each.Cases.Split(' ').Contains(id)).Select(each => each.Message);
}

/// <summary>The table itself.</summary>
public sealed class ReasonsTests
{
    [Fact]
    public void Every_case_that_is_refused_has_its_reason_and_no_other_has_one()
    {
        IEnumerable<string> refused = HostileCases.All
            .Where(fault => fault.Expected == Outcome.Refused || fault.OnLegacy == Outcome.Refused).Select(fault => fault.Id);
        Assert.Equal(refused.Order(), Reasons.Refused.Order());
    }

    [Fact]
    public void Every_case_that_breaks_a_device_has_its_message_and_no_other_has_one()
    {
        IEnumerable<string> broken = HostileCases.All
            .Where(fault => fault.Expected is Outcome.Breaks or Outcome.TimesOut or Outcome.Contained).Select(fault => fault.Id);
        Assert.Equal(broken.Order(), Reasons.Broken.Order());
    }
}
