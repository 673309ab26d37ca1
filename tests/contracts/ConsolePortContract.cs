// What every console port promises, whatever is behind it.
using VirtioSharp.Drivers.Console;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Contracts;

/// <summary>The contract of <see cref="ConsolePort"/>. One subclass for each backend.</summary>
public abstract class ConsolePortContract(ITestOutputHelper output)
{
    /// <summary>Makes a machine with a console, and its driver in service.</summary>
    protected abstract ConsoleBackend Open();

    [Fact]
    public void What_is_written_reaches_the_host()
    {
        using ConsoleBackend backend = Open();
        WriteAll(backend, "hello, host\n"u8.ToArray());
        WaitForHost(backend, "hello, host\n"u8.ToArray());
        backend.Device.Remove();
    }

    [Fact]
    public void What_the_host_sends_can_be_read()
    {
        using ConsoleBackend backend = Open();
        backend.HostSends("hello, guest\n"u8);
        Assert.Equal("hello, guest\n"u8.ToArray(), ReadExactly(backend, 13));
        backend.Device.Remove();
    }

    [Fact]
    public void Without_input_a_read_gives_nothing_and_an_empty_write_takes_nothing()
    {
        using ConsoleBackend backend = Open();
        Assert.Equal(0u, backend.Port.Read(new byte[16]));
        Assert.Equal(0u, backend.Port.Write([]));
        Assert.False(backend.Port.HasUnsent);
        backend.Device.Remove();
    }

    [Fact]
    public void Input_is_read_in_pieces_of_any_size_without_loss()
    {
        using ConsoleBackend backend = Open();
        byte[] sent = Bytes(3000);
        backend.HostSends(sent);
        List<byte> got = [];
        byte[] piece = new byte[7];
        Waiting.Until(
            backend.Device,
            backend.Clock,
            () =>
            {
                for (uint count = backend.Port.Read(piece); count > 0; count = backend.Port.Read(piece))
                {
                    got.AddRange(piece.AsSpan(0, (int)count));
                }
                return got.Count >= sent.Length;
            },
            "3000 bytes in pieces of 7");
        Assert.Equal(sent, got);
        backend.Device.Remove();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4095)]
    [InlineData(4096)]
    [InlineData(4097)]
    [InlineData(65536)]
    [InlineData(200_000)]
    public void Any_amount_goes_out_byte_for_byte(int length)
    {
        using ConsoleBackend backend = Open();
        WriteAll(backend, Bytes(length));
        WaitForHost(backend, Bytes(length));
        Waiting.Until(backend.Device, backend.Clock, () => !backend.Port.HasUnsent, "everything to be sent");
        backend.Device.Remove();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4096)]
    [InlineData(65536)]
    [InlineData(200_000)]
    public void Any_amount_comes_in_byte_for_byte(int length)
    {
        using ConsoleBackend backend = Open();
        backend.HostSends(Bytes(length));
        Assert.Equal(Bytes(length), ReadExactly(backend, length));
        backend.Device.Remove();
    }

    [Fact]
    public void Many_small_writes_keep_their_order()
    {
        using ConsoleBackend backend = Open();
        byte[] all = Bytes(5000);
        foreach (byte[] piece in all.Chunk(3))
        {
            WriteAll(backend, piece);
        }
        WaitForHost(backend, all);
        backend.Device.Remove();
    }

    [Fact]
    public void Both_directions_work_at_the_same_time()
    {
        using ConsoleBackend backend = Open();
        byte[] outward = Bytes(65536);
        byte[] inward = [.. Bytes(65536).Reverse()];
        backend.HostSends(inward);
        List<byte> got = [];
        byte[] piece = new byte[1000];
        int written = 0;
        Waiting.Until(
            backend.Device,
            backend.Clock,
            () =>
            {
                written += (int)backend.Port.Write(outward.AsSpan(written, Math.Min(1500, outward.Length - written)));
                got.AddRange(piece.AsSpan(0, (int)backend.Port.Read(piece)));
                return written == outward.Length && got.Count >= inward.Length;
            },
            "64 KiB in each direction");
        Assert.Equal(inward, got);
        WaitForHost(backend, outward);
        backend.Device.Remove();
    }

    [Fact]
    public void A_host_that_does_not_read_makes_the_port_full_and_loses_nothing()
    {
        using ConsoleBackend backend = Open();
        if (!backend.TryStopHost(out string whyNot))
        {
            output.WriteLine("skipped: " + whyNot);
            backend.Device.Remove();
            return;
        }
        byte[] all = Bytes(4 << 20);
        int taken = 0;
        int refusals = 0;
        while (refusals < 50)
        {
            uint count = backend.Port.Write(all.AsSpan(taken, Math.Min(10_000, all.Length - taken)));
            taken += (int)count;
            refusals = count == 0 ? refusals + 1 : 0;
            Assert.True(taken < all.Length, "the port takes more than any host could hold");
            backend.Device.Poll();
            backend.Clock.WaitForInterrupt(backend.Clock.Now + 1_000_000);
        }
        Assert.True(backend.Port.HasUnsent);
        backend.ResumeHost();
        WaitForHost(backend, all[..taken]);
        WriteAll(backend, "after"u8.ToArray());
        WaitForHost(backend, [.. all[..taken], .. "after"u8]);
        backend.Device.Remove();
    }

    [Fact]
    public void A_removed_port_takes_nothing_and_gives_nothing()
    {
        using ConsoleBackend backend = Open();
        WriteAll(backend, "last words"u8.ToArray());
        backend.Device.Remove();
        Assert.True(backend.Port.IsFailed);
        Assert.False(backend.Port.HasUnsent);
        Assert.Equal(0u, backend.Port.Write("more"u8));
        Assert.Equal(0u, backend.Port.Read(new byte[4]));
        backend.Device.Remove();
        backend.Device.Poll();
    }

    [Fact]
    public void The_listener_hears_of_input()
    {
        using ConsoleBackend backend = Open();
        Ear ear = new();
        backend.Port.Listener = ear;
        backend.HostSends("x"u8);
        Waiting.Until(backend.Device, backend.Clock, () => ear.Readable > 0, "the listener to hear");
        Assert.Equal(1u, backend.Port.Read(new byte[4]));
        backend.Port.Listener = null;
        backend.Device.Remove();
    }

    private static byte[] Bytes(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }

    private static void WriteAll(ConsoleBackend backend, byte[] bytes)
    {
        int written = 0;
        Waiting.Until(
            backend.Device,
            backend.Clock,
            () =>
            {
                written += (int)backend.Port.Write(bytes.AsSpan(written));
                return written == bytes.Length;
            },
            $"{bytes.Length} bytes to be taken");
    }

    private static void WaitForHost(ConsoleBackend backend, byte[] expected)
    {
        Waiting.Until(backend.Device, backend.Clock, () => backend.HostReceived().Length >= expected.Length, $"{expected.Length} bytes to reach the host");
        Assert.Equal(expected, backend.HostReceived());
    }

    private static byte[] ReadExactly(ConsoleBackend backend, int length)
    {
        byte[] bytes = new byte[length];
        int read = 0;
        Waiting.Until(
            backend.Device,
            backend.Clock,
            () =>
            {
                read += (int)backend.Port.Read(bytes.AsSpan(read));
                return read == length;
            },
            $"{length} bytes from the host");
        Assert.Equal(0u, backend.Port.Read(new byte[1]));
        return bytes;
    }

    private sealed class Ear : ConsoleListener
    {
        public int Readable { get; private set; }

        public override void OnReadable() => Readable++;

        public override void OnWritable()
        {
        }
    }
}
