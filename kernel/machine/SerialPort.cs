// COM1, a 16550: the line everything is said on.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// The first serial port. At boot and in a panic it is written directly; in between both directions go through rings that the port's
/// interrupt empties and fills. A reader that lags makes the other side wait: nothing is dropped as long as the line moves at all.
/// </summary>
internal sealed class SerialPort : InterruptHandler
{
    private const ushort Base = 0x3F8;
    private const ushort Data = Base;
    private const ushort InterruptEnable = Base + 1;
    private const ushort FifoControl = Base + 2;
    private const ushort InterruptIdentity = Base + 2;
    private const ushort LineControl = Base + 3;
    private const ushort ModemControl = Base + 4;
    private const ushort LineStatus = Base + 5;
    private const ushort Scratch = Base + 7;
    private const byte DataReady = 1;
    private const byte TransmitterEmpty = 0x20;
    private const byte AnnounceInput = 1;
    private const byte AnnounceOutput = 2;
    private const byte NothingPending = 1;
    private const int FifoSize = 16;
    private const int MaxRounds = 100_000;
    // About ten seconds, in ticks of the time stamp counter: the clock may not run yet.
    private const ulong StuckAfter = 30_000_000_000;
    private const byte FifosOn = 0xC0;
    private const uint RingSize = 4096;

    private static bool s_isPresent;
    private static bool s_isStuck;
    private static bool s_isBuffered;
    private static SerialPort? s_active;
    private static int s_room;

    private readonly byte[] _received = new byte[RingSize];
    private readonly byte[] _toSend = new byte[RingSize];
    private uint _receivedHead;
    private uint _receivedTail;
    private uint _sendHead;
    private uint _sendTail;
    private byte _announced;

    /// <summary>The interrupt line of COM1 on every PC.</summary>
    internal const byte InterruptLine = 4;

    /// <summary>True when there is a byte to take.</summary>
    internal bool HasReceived => _receivedHead != _receivedTail;

    /// <summary>115200 baud, 8 bits, no parity, no interrupts yet. A port that is not there is never used.</summary>
    internal static void Initialize()
    {
        Cpu.Out8(Scratch, 0x5A);
        s_isPresent = Cpu.In8(Scratch) == 0x5A;
        if (!s_isPresent)
        {
            return;
        }
        Cpu.Out8(InterruptEnable, 0);
        Cpu.Out8(LineControl, 0x80);
        Cpu.Out8(Data, 1);
        Cpu.Out8(InterruptEnable, 0);
        Cpu.Out8(LineControl, 3);
        // Turning the FIFOs on drops what has arrived: where somebody has typed ahead already, we do without them.
        if ((Cpu.In8(LineStatus) & DataReady) == 0)
        {
            Cpu.Out8(FifoControl, 1);
        }
        s_room = (Cpu.In8(InterruptIdentity) & FifosOn) == FifosOn ? FifoSize : 1;
        Cpu.Out8(ModemControl, 0x0B);
    }

    /// <summary>Sends one byte: through the ring once there is one, else directly.</summary>
    internal static void Send(byte value)
    {
        if (s_isBuffered)
        {
            s_active!.Enqueue(value);
        }
        else
        {
            SendDirectly(value);
        }
    }

    /// <summary>Sends what the ring holds and does without it from now on: the machine is about to end.</summary>
    internal static void StopBuffering()
    {
        if (!s_isBuffered)
        {
            return;
        }
        s_isBuffered = false;
        SerialPort port = s_active!;
        while (port._sendTail != port._sendHead)
        {
            SendDirectly(port._toSend[port._sendTail++ % RingSize]);
        }
        // The last byte leaves the transmitter before the machine goes away.
        WaitForTransmitter();
    }

    /// <summary>Uses the rings and interrupts from now on.</summary>
    internal void EnableInterrupts()
    {
        if (!s_isPresent)
        {
            return;
        }
        s_active = this;
        s_isBuffered = true;
        Receive();
    }

    /// <inheritdoc/>
    public override bool OnInterrupt()
    {
        // The line is an edge: only when nothing is pending any more will it rise again.
        bool any = false;
        for (int i = 0; i < MaxRounds && (Cpu.In8(InterruptIdentity) & NothingPending) == 0; i++)
        {
            any = true;
            Receive();
            Transmit();
        }
        return any;
    }

    /// <summary>Takes one received byte; false when there is none.</summary>
    internal bool TryRead(out byte value)
    {
        value = 0;
        if (_receivedHead == _receivedTail)
        {
            return false;
        }
        value = _received[_receivedTail++ % RingSize];
        if ((_announced & AnnounceInput) == 0 && _receivedHead - _receivedTail <= RingSize / 2)
        {
            Receive();
        }
        return true;
    }

    private static void SendDirectly(byte value)
    {
        if (s_isPresent)
        {
            WaitForTransmitter();
            Cpu.Out8(Data, value);
        }
    }

    /// <summary>Waits until the transmitter has room; once it did not get any, each further byte only looks whether it has.</summary>
    private static void WaitForTransmitter()
    {
        ulong start = Cpu.ReadTimeStamp();
        while ((Cpu.In8(LineStatus) & TransmitterEmpty) == 0)
        {
            if (s_isStuck || Cpu.ReadTimeStamp() - start > StuckAfter)
            {
                s_isStuck = true;
                return;
            }
            Cpu.Pause();
        }
        s_isStuck = false;
    }

    private void Enqueue(byte value)
    {
        if (_sendHead - _sendTail == RingSize)
        {
            WaitForTransmitter();
            Transmit();
            if (_sendHead - _sendTail == RingSize)
            {
                return; // Nobody takes anything: the newest byte is lost.
            }
        }
        _toSend[_sendHead++ % RingSize] = value;
        if ((_announced & AnnounceOutput) == 0)
        {
            Transmit();
        }
    }

    /// <summary>Moves as much as it takes from the ring to the transmitter if that is empty, and asks to be told when it is.</summary>
    private void Transmit()
    {
        if (_sendTail != _sendHead && (Cpu.In8(LineStatus) & TransmitterEmpty) != 0)
        {
            s_isStuck = false;
            for (int i = 0; i < s_room && _sendTail != _sendHead; i++)
            {
                Cpu.Out8(Data, _toSend[_sendTail++ % RingSize]);
            }
        }
        Announce(_sendTail != _sendHead ? _announced | AnnounceOutput : _announced & ~AnnounceOutput);
    }

    /// <summary>Takes what has arrived. When the ring is full the rest stays in the port, and the sender waits until there is room.</summary>
    private void Receive()
    {
        while (_receivedHead - _receivedTail < RingSize && (Cpu.In8(LineStatus) & DataReady) != 0)
        {
            _received[_receivedHead++ % RingSize] = Cpu.In8(Data);
        }
        Announce(_receivedHead - _receivedTail < RingSize ? _announced | AnnounceInput : _announced & ~AnnounceInput);
    }

    private void Announce(int what)
    {
        if (_announced != (byte)what)
        {
            _announced = (byte)what;
            Cpu.Out8(InterruptEnable, _announced);
        }
    }
}
