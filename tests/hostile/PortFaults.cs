// Faults in the control messages of consoles with several ports.
using System.Buffers.Binary;
using VirtioSharp.Drivers.Console;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>S: virtio-console with MULTIPORT. After each fault the port that was there still works.</summary>
public static class PortFaults
{
    private const ushort Add = 1;
    private const ushort Remove = 2;
    private const ushort Ready = 3;
    private const ushort Resize = 5;
    private const ushort Open = 6;
    private const ushort Name = 7;

    /// <summary>The cases.</summary>
    public static IEnumerable<HostileCase> All => Cases.Select(fault => fault with { Subject = Subject.Ports });

    private static IEnumerable<HostileCase> Cases =>
    [
        new("S03", "a message of 0 bytes", Outcome.Works, scene => SaysRaw(scene, 0)) { Then = IsIgnored },
        new("S03b", "a message of 1 byte", Outcome.Works, scene => SaysRaw(scene, 1)) { Then = IsIgnored },
        new("S03c", "a message of 7 bytes", Outcome.Works, scene => SaysRaw(scene, 7)) { Then = IsIgnored },
        new("S04", "a port is announced with the first number that there can't be", Outcome.Works, scene => Says(scene, 4, Add))
        { Then = scene => IsRefused(scene, 4) },
        new("S04b", "a port is announced with a number that is negative", Outcome.Works, scene => Says(scene, 1u << 31, Add))
        { Then = scene => IsRefused(scene, 1u << 31) },
        new("S04c", "a port is announced whose number is all ones", Outcome.Works, scene => Says(scene, uint.MaxValue, Add))
        { Then = scene => IsRefused(scene, uint.MaxValue) },
        new("S05", "a port is announced twice", Outcome.Works, scene => Says(scene, 1, Add))
        {
            Then = scene =>
            {
                IsIgnored(scene);
                Assert.Single(scene.Console.Messages, each => each.Event == Ready);
            },
        },
        new("S06", "a port is removed that never was", Outcome.Works, scene => Says(scene, 3, Remove)) { Then = IsIgnored },
        new("S06b", "a port is removed that there can't be", Outcome.Works, scene => Says(scene, 4, Remove)) { Then = IsIgnored },
        new("S06c", "a port is removed whose number is all ones", Outcome.Works, scene => Says(scene, uint.MaxValue, Remove)) { Then = IsIgnored },
        new("S07", "a name is empty", Outcome.Works, scene => Says(scene, 1, Name)) { Then = scene => IsNamed(scene, []) },
        new("S07b", "a name has no NUL, and fills its message", Outcome.Works, scene => Says(scene, 1, Name, 1, Letters(248)))
        { Then = scene => IsNamed(scene, Letters(ConsolePort.MaxNameLength)) },
        new("S07c", "a name has 64 KiB", Outcome.Works, scene => Says(scene, 1, Name, 1, Letters(65536)))
        { Then = scene => IsNamed(scene, Letters(ConsolePort.MaxNameLength)) },
        new("S07d", "a name would clear a screen, and goes on behind its NUL", Outcome.Works, scene =>
            Says(scene, 1, Name, 1, [0x1B, (byte)'[', (byte)'2', (byte)'J', 0xFF, 0, (byte)'x']))
        { Then = scene => IsNamed(scene, [0x1B, (byte)'[', (byte)'2', (byte)'J', 0xFF]) },
        new("S08", "a size has no bytes", Outcome.Works, scene => Says(scene, 1, Resize)) { Then = IsIgnored },
        new("S08b", "a size has 3 bytes", Outcome.Works, scene => Says(scene, 1, Resize, 0, 1, 2, 3)) { Then = IsIgnored },
        new("S09", "a message comes that only drivers send", Outcome.Works, scene => Says(scene, 1, 0)) { Then = IsIgnored },
        new("S09b", "a message comes that only drivers send: PORT_READY", Outcome.Works, scene => Says(scene, 1, Ready)) { Then = IsIgnored },
        new("S09c", "a message comes that there is none of", Outcome.Works, scene => Says(scene, 1, 8)) { Then = IsIgnored },
        new("S09d", "a message comes whose number is all ones", Outcome.Works, scene => Says(scene, 1, ushort.MaxValue)) { Then = IsIgnored },
        new("S10", "something is said of a port that was taken away: CONSOLE_PORT", Outcome.Works, scene => SaysOfGone(scene, 4)) { Then = IsIgnored },
        new("S10b", "something is said of a port that was taken away: RESIZE", Outcome.Works, scene => SaysOfGone(scene, Resize)) { Then = IsIgnored },
        new("S10c", "something is said of a port that was taken away: PORT_OPEN", Outcome.Works, scene => SaysOfGone(scene, Open)) { Then = IsIgnored },
        new("S10d", "something is said of a port that was taken away: PORT_NAME", Outcome.Works, scene => SaysOfGone(scene, Name)) { Then = IsIgnored },
        new("S11", "a port is opened and closed without an end, and stays open", Outcome.Works, scene => scene.DuringRequests = () =>
        {
            for (int i = 0; i < 1000; i++)
            {
                scene.Console.Say(1, Open, (ushort)(i % 3 == 0 ? 0xFFFF : i % 2));
            }
            scene.Console.Say(1, Open, 1);
        })
        {
            Then = scene => Assert.Equal((true, 0ul), (scene.ConsoleDriver.Port(0).IsHostOpen, scene.ConsoleDriver.IgnoredMessages)),
        },
        new("S12", "a thousand ports are announced that there can't be", Outcome.Works, scene => scene.DuringRequests = () =>
        {
            int allocations = scene.Machine.FakeDma.AllocationCount;
            for (int i = 0; i < 1000; i++)
            {
                scene.Console.Say((uint)(i % 100) + 4, Add, 0);
            }
            ConsoleWork.Settle(scene);
            Assert.Equal(allocations, scene.Machine.FakeDma.AllocationCount);
        }) { Then = scene => HasIgnored(scene, 1000) },
        new("S16", "the host leaves in the middle of a write, and has taken nothing", Outcome.Works, scene => scene.DuringRequests = () => Leave(scene, 0)),
        new("S16b", "the host leaves in the middle of a write, and has taken a part", Outcome.Works, scene => scene.DuringRequests = () => Leave(scene, 1)),
        new("F09", "several ports are offered, and there are none", Outcome.Works, scene => SaysPorts(scene, 0)) { Then = scene => UsesPorts(scene, 1) },
        new("G11", "several ports are offered, and there is one", Outcome.Works, scene => SaysPorts(scene, 1)) { Then = scene => UsesPorts(scene, 1) },
        new("G11b", "there are more ports than queues for them", Outcome.Works, scene => SaysPorts(scene, 5))
        { Machines = Machines.ModernFunction, Then = scene => UsesPorts(scene, 4) },
        new("G11c", "there are 4294967295 ports", Outcome.Works, scene => SaysPorts(scene, uint.MaxValue))
        { Machines = Machines.ModernFunction, Then = scene => UsesPorts(scene, 4) },
        new("U04f", "in a queue of control messages a used id was never given", Outcome.Works, scene => Breaks(scene, 2)) { Then = WasReset },
        new("U04g", "in the queue for control messages a used id was never given", Outcome.Works, scene => Breaks(scene, 3)) { Then = WasReset },
        new("U04h", "in the receive queue of a port a used id was never given", Outcome.Works, scene => Breaks(scene, 4)) { Then = WasReset },
        new("U04i", "in the transmit queue of a port a used id was never given", Outcome.Works, scene => Breaks(scene, 5)) { Then = WasReset },
    ];

    private static void Says(HostileScene scene, uint port, ushort what, ushort value = 0, params byte[] payload) =>
        scene.DuringRequests = () => scene.Console.Say(port, what, value, payload);

    private static void SaysRaw(HostileScene scene, int length) => scene.DuringRequests = () => scene.Console.SayRaw(new byte[length]);

    private static void SaysOfGone(HostileScene scene, ushort what) => scene.DuringRequests = () =>
    {
        scene.Console.Plug(2);
        ConsoleWork.Settle(scene);
        scene.Console.Unplug(2);
        scene.Console.Say(2, what, 1, 1, 2, 3, 4);
    };

    private static void IsIgnored(HostileScene scene) => HasIgnored(scene, 1);

    private static void HasIgnored(HostileScene scene, int count) =>
        Assert.Equal(((ulong)count, 1), (scene.ConsoleDriver.IgnoredMessages, scene.ConsoleDriver.PortCount));

    private static void IsRefused(HostileScene scene, uint port)
    {
        IsIgnored(scene);
        Assert.Contains((port, Ready, (ushort)0), scene.Console.Messages);
    }

    private static byte[] Letters(int count) => [.. Enumerable.Repeat((byte)'n', count)];

    private static void IsNamed(HostileScene scene, byte[] name)
    {
        HasIgnored(scene, 0);
        Assert.Equal(name, scene.ConsoleDriver.Port(0).Name.ToArray());
    }

    private static void Leave(HostileScene scene, int taken)
    {
        (ConsolePort port, Fakes.Console.FakePort host, int number) = ConsoleWork.PortOf(scene);
        host.TransmitCredit = taken;
        byte[] bytes = new byte[10_000];
        Array.Fill(bytes, (byte)'x');
        int before = host.Output.Count;
        uint written = port.Write(bytes);
        ConsoleWork.Settle(scene);
        scene.Console.SetHostOpen(number, false);
        ConsoleWork.Settle(scene);
        host.TransmitCredit = int.MaxValue; // the device takes what it holds, and throws it away
        ConsoleWork.Settle(scene);
        Assert.Equal(0ul, scene.ConsoleDriver.Recoveries);
        scene.Console.SetHostOpen(number, true);
        ConsoleWork.Settle(scene);
        Assert.False(port.HasUnsent);
        Assert.Equal((int)written, host.Output.Count - before);
    }

    /// <summary>With one port at most it has the number 0.</summary>
    private static void SaysPorts(HostileScene scene, uint ports)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(scene.Console.Config.AsSpan(4), ports);
        if (ports < 2)
        {
            scene.Console.Ports[1].IsPlugged = false;
            scene.Console.Plug(0, "good");
        }
    }

    private static void UsesPorts(HostileScene scene, int ports) => Assert.Equal(ports, scene.ConsoleDriver.MaxPorts);

    private static void Breaks(HostileScene scene, int queue) => scene.DuringRequests = () => scene.Device.Queues[queue].PushUsed(60_000, 1);

    private static void WasReset(HostileScene scene) => Assert.Equal(1ul, scene.ConsoleDriver.Recoveries);
}
