// Every hostile case of a disk is recorded and replayed: traces can tell what devices do that lie.
using VirtioSharp.Tests.Hostile;
using Xunit;

namespace VirtioSharp.Tests.Traces;

public sealed class HostileReplayTests
{
    private static readonly Place[] s_places =
    [
        new(Machines.ModernPci, Rings.SplitEvent, Ways.MsiX),
        new(Machines.ModernPci, Rings.PackedEvent, Ways.MsiX),
        new(Machines.ModernPci, Rings.Packed, Ways.Pin),
        new(Machines.ConfigAccess, Rings.SplitEvent, Ways.Pin),
        new(Machines.LegacyPci, Rings.Split, Ways.MsiX),
        new(Machines.Mmio, Rings.SplitEvent, Ways.Pin),
    ];

    /// <summary>What a trace can't tell: memory that is rewritten behind the driver, and rings at addresses that no other machine has.</summary>
    private static readonly string[] s_untold = ["U16", "U18b", "U25", "M21b"];

    public static TheoryData<string, int> Cases
    {
        get
        {
            TheoryData<string, int> data = [];
            foreach (HostileCase fault in HostileCases.All.Where(fault => fault.Subject == Subject.Disk && !s_untold.Contains(fault.Id)))
            {
                for (int i = 0; i < s_places.Length; i++)
                {
                    if (fault.Fits(s_places[i]))
                    {
                        data.Add(fault.Id, i);
                    }
                }
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_trace_of_a_device_that_lies_is_replayed(string id, int place)
    {
        HostileCase fault = HostileCases.Find(id);
        List<string> lines = FakeRecordings.Play(fault, s_places[place]);
        if (lines.Count != 0)
        {
            Replay.Of(TraceFile.Read(lines, "d0"), FakeRecordings.MayRecover(fault, s_places[place]) ? 3 : 0);
        }
    }
}
