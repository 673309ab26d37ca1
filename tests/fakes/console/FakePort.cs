// The host's side of a port of a fake console.
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Fakes.Console;

/// <summary>Collects what the driver sends and holds what the host types; a slow host takes as much as the test lets it.</summary>
public sealed class FakePort
{
    /// <summary>What the driver sent so far.</summary>
    public List<byte> Output { get; } = [];

    /// <summary>What was typed and has not reached the driver.</summary>
    public Queue<byte> Input { get; } = [];

    /// <summary>Receive buffers that the device holds.</summary>
    public Queue<FakeChain> Receive { get; } = [];

    /// <summary>Buffers to send that the device holds.</summary>
    public Queue<FakeChain> Transmit { get; } = [];

    /// <summary>How many sent buffers the host takes from now on; a slow host takes few.</summary>
    public int TransmitCredit { get; set; } = int.MaxValue;

    /// <summary>The most bytes that one receive buffer is filled with.</summary>
    public int MostInput { get; set; } = int.MaxValue;

    /// <summary>A fault: what the device claims to have written into a receive buffer.</summary>
    public Func<uint, uint>? OnReceived { get; set; }

    /// <summary>A fault: what the device claims to have written into a buffer that it can only read.</summary>
    public uint TransmitUsedLength { get; set; }

    /// <summary>A fault: the device reads and writes no more of a buffer than its first piece.</summary>
    public bool UsesFirstPieceOnly { get; set; }

    /// <summary>True while the host has plugged the port in; the driver hears of it by an announcement.</summary>
    public bool IsPlugged { get; set; }

    /// <summary>True for a port that a person sits at.</summary>
    public bool IsConsole { get; set; }

    /// <summary>The port's name; empty for none.</summary>
    public byte[] Name { get; set; } = [];

    /// <summary>True while the host's end is open.</summary>
    public bool IsHostOpen { get; set; }

    /// <summary>True once the driver was told of the port.</summary>
    public bool IsAnnounced { get; set; }

    /// <summary>True once the driver was told of the port, even if it was taken away since.</summary>
    public bool WasAnnounced { get; set; }

    /// <summary>True once the driver said that the port is ready.</summary>
    public bool IsReady { get; set; }

    /// <summary>True while the driver's end is open.</summary>
    public bool IsGuestOpen { get; set; }

    /// <summary>How often the driver answered that the port is open, or said so by itself.</summary>
    public int Opens { get; set; }

    /// <summary>The driver has to say everything once more.</summary>
    public void Forget()
    {
        IsAnnounced = false;
        WasAnnounced = false;
        IsReady = false;
        IsGuestOpen = false;
        Receive.Clear();
        Transmit.Clear();
    }
}
