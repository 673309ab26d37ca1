// Faults of a console with one port.
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes.Console;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>S: virtio-console without MULTIPORT, and what of the other lists there is to a console.</summary>
public static class ConsoleFaults
{
    private const int BufferLength = 4096;

    /// <summary>The cases.</summary>
    public static IEnumerable<HostileCase> All => Cases.Select(fault => fault with { Subject = Subject.Console });

    private static IEnumerable<HostileCase> Cases =>
    [
        new("S01", "a received length is one more than the buffer has", Outcome.Works, scene => ClaimReceived(scene, BufferLength + 1))
        { Requirements = "SPLIT-USED-1" },
        new("S01b", "a received length is all ones", Outcome.Works, scene => ClaimReceived(scene, uint.MaxValue)) { Requirements = "SPLIT-USED-1" },
        new("S02", "buffers come back with nothing in them", Outcome.Works, scene => scene.DuringRequests = () =>
        {
            int lent = scene.Console.ReceiveBuffers;
            for (int i = 0; i < 100; i++)
            {
                scene.Console.UseEmpty();
                scene.ConsoleDriver.Poll();
                scene.Machine.Run();
            }
            Assert.Equal(0u, scene.ConsoleDriver.Port(0).Read(new byte[10]));
            ConsoleWork.Settle(scene);
            Assert.Equal(lent, scene.Console.ReceiveBuffers);
        }),
        new("S13", "there is one port, and nobody to control it", Outcome.Works, _ => { })
        { Then = scene => Assert.Equal(2, scene.ConsoleDriver.Virtio.QueueCount) },
        new("S14", "the host takes nothing for a while", Outcome.Works, scene => scene.DuringRequests = () =>
        {
            scene.Console.TransmitCredit = 0;
            int written = FillUp(scene);
            Assert.InRange(written, 1, 16 * BufferLength);
            int before = scene.Console.Output.Length;
            scene.Console.TransmitCredit = int.MaxValue;
            scene.Until(() => !scene.ConsoleDriver.Port(0).HasUnsent, "the host to take everything");
            Assert.Equal(written, scene.Console.Output.Length - before);
        }),
        new("S14b", "the host takes nothing any more, and the console is removed", Outcome.Works, _ => { })
        {
            Then = scene =>
            {
                scene.Console.TransmitCredit = 0;
                FillUp(scene);
            },
        },
        new("S15", "a buffer that can only be read comes back with a length", Outcome.Works, scene => scene.Console.TransmitUsedLength = 100)
        { Requirements = "CONSOLE-OP-1 CONSOLE-OP-2 CONSOLE-LEGACY-3" },
        new("S17", "the device uses the first piece of every buffer only", Outcome.Works, scene => scene.Console.Ports[0].UsesFirstPieceOnly = true)
        { Then = SendAndReceiveMuch },
        new("S18", "input comes faster than anybody reads", Outcome.Works, scene => scene.DuringRequests = () => Flood(scene)),
        new("G10", "there are no columns and 65535 rows", Outcome.Works, scene => scene.Console.SetSize(0, 65535)) { Then = scene => IsOfSize(scene, 0, 65535) },
        new("G10b", "the size is not offered, and stands there", Outcome.Works, scene =>
        {
            scene.Console.SetSize(80, 25);
            scene.Console.OfferedFeatures &= ~FakeConsoleDevice.HasSize;
        }) { Then = scene => IsOfSize(scene, 0, 0), Requirements = "CORE-CONFIG-3" },
        new("U04b", "in the receive queue a used id was never given", Outcome.Breaks, scene => Push(scene, 0)),
        new("U04c", "in the transmit queue a used id was never given", Outcome.Breaks, scene => Push(scene, 1)),
        new("U04d", "in the receive queue a used id was never given, and the device may be reset", Outcome.Works, scene => Push(scene, 0)) { Then = WasReset },
        new("U04e", "in the transmit queue a used id was never given, and the device may be reset", Outcome.Works, scene => Push(scene, 1)) { Then = WasReset },
        new("M07b", "DEVICE_NEEDS_RESET comes while a console is in service", Outcome.Works, scene =>
            scene.DuringRequests = scene.Device.AskForReset) { Then = WasReset, Requirements = "CORE-STATUS-4" },
        new("M07c", "DEVICE_NEEDS_RESET comes while a console is in service that may not be reset", Outcome.Breaks, scene =>
            scene.DuringRequests = scene.Device.AskForReset),
        new("R01b", "a console is pulled with bytes on their way", Outcome.Breaks, scene => scene.DuringRequests = () =>
        {
            scene.Console.TransmitCredit = 0;
            scene.ConsoleDriver.Port(0).Write("into the void"u8);
            scene.Machine.Run();
            scene.Pull();
        }) { Machines = Machines.Pci, IsGone = true },
        new("I05c", "a console's interrupt gets lost", Outcome.Works, scene => scene.Device.Queues[1].LoseSignals = 1),
        new("I05d", "a console's doorbell gets lost", Outcome.Works, scene => scene.Device.Queues[1].LoseNotifications = 1),
        new("I05e", "no interrupt of a console ever arrives", Outcome.Works, scene =>
            scene.Device.Queues[0].LoseSignals = scene.Device.Queues[1].LoseSignals = int.MaxValue) { Ways = Ways.Some },
        new("P10c", "the console never wants to be notified, and does not look by itself", Outcome.Works, scene => scene.Device.Queues[1].NeverAsks = true),
    ];

    private static void ClaimReceived(HostileScene scene, uint claimed) => scene.DuringRequests = () =>
    {
        scene.Console.OnReceived = _ => claimed;
        scene.Console.Type("abc"u8);
        byte[] into = new byte[20 * BufferLength];
        uint read = 0;
        scene.Until(() => (read = scene.ConsoleDriver.Port(0).Read(into)) > 0, "the input");
        Assert.Equal("abc"u8.ToArray(), into[..3]);
        Assert.True(read <= BufferLength, $"{read} bytes out of one buffer");
        scene.Console.OnReceived = null;
    };

    private static int FillUp(HostileScene scene)
    {
        byte[] bytes = new byte[1000];
        uint written;
        int sum = 0;
        while ((written = scene.ConsoleDriver.Port(0).Write(bytes)) > 0)
        {
            sum += (int)written;
            scene.Machine.Run();
            scene.ConsoleDriver.Poll();
        }
        for (int i = 0; i < 20; i++)
        {
            scene.Machine.FakeClock.Advance(10_000_000);
            scene.ConsoleDriver.OnDeadline(scene.Machine.Clock.Now);
            scene.Machine.Run();
        }
        Assert.Equal(0u, scene.ConsoleDriver.Port(0).Write(bytes));
        return sum;
    }

    /// <summary>Much is typed while nobody reads: the host has to wait with it, no more memory is used, and not a byte is lost.</summary>
    private static void Flood(HostileScene scene)
    {
        byte[] typed = new byte[100_000];
        new Random(2).NextBytes(typed);
        int allocations = scene.Machine.FakeDma.AllocationCount;
        scene.Console.Type(typed);
        ConsoleWork.Settle(scene);
        Assert.Equal((allocations, 0), (scene.Machine.FakeDma.AllocationCount, scene.Console.ReceiveBuffers));
        Assert.InRange(scene.Console.InputLeft, typed.Length - 8 * BufferLength, typed.Length - 1);
        Assert.Equal(typed, Read(scene, typed.Length));
    }

    private static void SendAndReceiveMuch(HostileScene scene)
    {
        byte[] bytes = new byte[3 * BufferLength];
        new Random(3).NextBytes(bytes);
        int before = scene.Console.Output.Length;
        int written = 0;
        scene.Until(() => (written += (int)scene.ConsoleDriver.Port(0).Write(bytes.AsSpan(written))) == bytes.Length, "the output");
        ConsoleWork.Settle(scene);
        Assert.Equal(bytes, scene.Console.Output[before..]);
        scene.Console.Type(bytes);
        Assert.Equal(bytes, Read(scene, bytes.Length));
    }

    private static byte[] Read(HostileScene scene, int length)
    {
        byte[] into = new byte[length];
        int read = 0;
        scene.Until(() => (read += (int)scene.ConsoleDriver.Port(0).Read(into.AsSpan(read))) == length, "the input");
        return into;
    }

    private static void IsOfSize(HostileScene scene, int columns, int rows)
    {
        ConsolePort port = scene.ConsoleDriver.Port(0);
        Assert.Equal((columns, rows), (port.Columns, port.Rows));
    }

    private static void Push(HostileScene scene, int queue) => scene.DuringRequests = () => scene.Device.Queues[queue].PushUsed(60_000, 1);

    private static void WasReset(HostileScene scene) => Assert.Equal(1ul, scene.ConsoleDriver.Recoveries);
}
