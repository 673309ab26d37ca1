// What a console has to do in a hostile case: bytes in both directions, and more of them when the harm is done.
using VirtioSharp.Drivers.Console;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Console;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>The first port is used, or of several the one that is plugged in.</summary>
internal static class ConsoleWork
{
    private const ulong Moment = 30_000_000;

    /// <summary>Does the work, and removes the console.</summary>
    internal static void Do(HostileCase fault, Outcome expected, HostileScene scene)
    {
        VirtioConsole console = scene.ConsoleDriver;
        console.MaxRecoveries = expected == Outcome.Breaks ? 0 : console.MaxRecoveries;
        Settle(scene);
        scene.DuringRequests?.Invoke();
        Settle(scene);
        if (expected == Outcome.Breaks)
        {
            Assert.True(console.IsFailed);
            Assert.All(Enumerable.Range(0, console.PortCount), i => Assert.Equal(0u, console.Port(i).Write("x"u8)));
        }
        else
        {
            Assert.False(console.IsFailed);
            PortWorks(scene);
        }
        fault.Then?.Invoke(scene);
        console.Remove();
        console.Poll();
    }

    /// <summary>Bytes go out of the port that is there, and come in, each once and in their order.</summary>
    internal static void PortWorks(HostileScene scene)
    {
        (ConsolePort port, FakePort host, int number) = PortOf(scene);
        port.Open();
        int before = host.Output.Count;
        Assert.Equal(5u, port.Write("works"u8));
        Settle(scene);
        Assert.Equal("works"u8.ToArray(), host.Output.Skip(before));
        scene.Console.Type("indeed"u8, number);
        byte[] into = new byte[6];
        uint read = 0;
        scene.Until(() => (read += port.Read(into.AsSpan((int)read))) == 6, "the input");
        Assert.Equal("indeed"u8.ToArray(), into);
    }

    /// <summary>The driver's and the host's end of the port that is used, and its number.</summary>
    internal static (ConsolePort Port, FakePort Host, int Number) PortOf(HostileScene scene)
    {
        int number = Math.Max(0, Array.FindIndex(scene.Console.Ports, each => each.IsPlugged));
        return (scene.ConsoleDriver.Port(0), scene.Console.Ports[number], number);
    }

    /// <summary>Lets both sides work until nobody has anything to say, and a moment longer.</summary>
    internal static void Settle(HostileScene scene)
    {
        for (int i = 0; i < 4000 && (i <= 3 || scene.Console.MessagesLeft != 0); i++)
        {
            scene.Machine.Run();
            scene.ConsoleDriver.Poll();
        }
        scene.Pass(Moment);
    }
}
