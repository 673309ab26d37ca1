// QEMU as the judge of consoles: the same random life of four ports on the fake and on QEMU's virtio-serial.
using VirtioSharp.Drivers.Console;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>
/// After each step both sides have to come to see the same: ports, names, who is open, bytes both ways, what waits. What they see on the way, and
/// messages of QEMU that make no sense (it says that a port was closed after it said that it is gone), is not compared.
/// </summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class PortJudgeTests
{
    private const int Steps = 200;
    private const ulong Limit = 20_000_000_000;

    [Theory]
    [InlineData(QueueFeatures.EventIndex | QueueFeatures.Indirect, "")]
    [InlineData(QueueFeatures.Split, ",event_idx=off,indirect_desc=off")]
    [InlineData(QueueFeatures.Packed | QueueFeatures.EventIndex | QueueFeatures.Indirect, ",packed=on")]
    [InlineData(QueueFeatures.Packed, ",packed=on,event_idx=off,indirect_desc=off")]
    public void What_can_be_seen_of_the_ports_of_the_fake_can_be_seen_of_QEMUs(QueueFeatures features, string more)
    {
        using FakePortJudge ours = new(features.Bits());
        using QemuPortJudge theirs = new(more);
        Random random = new((int)features);
        Life life = new(ours, theirs, random);
        Settle(ours, theirs, "the beginning");
        for (int step = 0; step < Steps; step++)
        {
            string what = life.Step();
            Settle(ours, theirs, $"step {step}, {what}");
        }
    }

    private static void Settle(PortJudge ours, PortJudge theirs, string what)
    {
        string expected = ours.Describe();
        for (int quiet = 0; quiet < 4; quiet++)
        {
            ours.Turn();
            string now = ours.Describe();
            quiet = now == expected ? quiet : -1;
            expected = now;
        }
        ulong end = theirs.Clock.Now + Limit;
        while (theirs.Describe() != expected && theirs.Clock.Now < end)
        {
            theirs.Turn();
        }
        theirs.Turn();
        string seen = theirs.Describe();
        Assert.True(seen == expected, $"{what}:\nQEMU:     {seen}\nthe fake: {expected}");
    }

    /// <summary>What happens, to both alike.</summary>
    private sealed class Life(PortJudge ours, PortJudge theirs, Random random)
    {
        private readonly bool[] _plugged = [true, false, false, false];
        private readonly bool[] _hostOpen = [true, false, false, false];
        private byte _next;

        public string Step()
        {
            int number = random.Next(PortJudge.Ports);
            int plugged = random.Next(3) == 0 ? number : Array.LastIndexOf(_plugged, true);
            switch (random.Next(12))
            {
                case 0 when number != 0:
                    return PlugOrUnplug(number);
                case 1 or 2 when number != 0 && _plugged[number]:
                    return OpenOrCloseHost(number);
                case 3 or 4 when _plugged[plugged] && _hostOpen[plugged]:
                    byte[] sent = Bytes();
                    ours.Send(plugged, sent);
                    theirs.Send(plugged, sent);
                    return $"the host sends {sent.Length} bytes to {plugged}";
                case 5 or 6 or 7 when _plugged[plugged]:
                    byte[] written = Bytes();
                    uint taken = ours.Find(plugged)!.Write(written);
                    Assert.Equal(taken, theirs.Find(plugged)!.Write(written));
                    return $"{taken} of {written.Length} bytes are written to {plugged}";
                case 8 or 9 when _plugged[number]:
                    bool open = !ours.Find(number)!.IsOpen;
                    SetOpen(ours.Find(number)!, open);
                    SetOpen(theirs.Find(number)!, open);
                    return $"{number} is {(open ? "opened" : "closed")}";
                case 10 when _plugged[plugged] && _hostOpen[plugged]:
                    return SendUnread(plugged);
                default:
                    return "nothing";
            }
        }

        private static void SetOpen(ConsolePort port, bool open)
        {
            if (open)
            {
                port.Open();
            }
            else
            {
                port.Close();
            }
        }

        private string PlugOrUnplug(int number)
        {
            bool plug = !_plugged[number];
            _plugged[number] = plug;
            _hostOpen[number] = false;
            if (plug)
            {
                string name = $"port.{_next++}";
                ours.Plug(number, name);
                theirs.Plug(number, name);
                return $"{number} is plugged in";
            }
            ours.Unplug(number);
            theirs.Unplug(number);
            return $"{number} is taken away";
        }

        private string OpenOrCloseHost(int number)
        {
            bool open = _hostOpen[number] = !_hostOpen[number];
            ours.SetHostOpen(number, open);
            theirs.SetHostOpen(number, open);
            return $"the host {(open ? "opens" : "closes")} {number}";
        }

        /// <summary>More than the driver has room for, and nobody reads for a while: all of it comes afterwards.</summary>
        private string SendUnread(int number)
        {
            ours.Unread = theirs.Unread = 1 << number;
            byte[] sent = new byte[random.Next(1, 30_000)];
            random.NextBytes(sent);
            ours.Send(number, sent);
            theirs.Send(number, sent);
            for (int i = 0; i < 5; i++)
            {
                ours.Turn();
                theirs.Turn();
            }
            Settle(ours, theirs, $"{sent.Length} bytes for {number} that are not read");
            ours.Unread = theirs.Unread = 0;
            return $"{sent.Length} bytes for {number} are read late";
        }

        private byte[] Bytes()
        {
            byte[] bytes = new byte[random.Next(1, random.Next(4) == 0 ? 6000 : 100)];
            for (int i = 0; i < bytes.Length; i++)
            {
                bytes[i] = _next++;
            }
            return bytes;
        }
    }
}
