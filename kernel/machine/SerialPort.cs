// COM1, a 16550: the line everything is said on.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// The first serial port. Output waits for the transmitter, for a bounded time, so that a panic can use it at any moment; input is
/// announced by interrupt and kept in a ring until somebody reads it.
/// </summary>
internal sealed class SerialPort : InterruptHandler
{
    private const ushort Base = 0x3F8;
    private const ushort Data = Base;
    private const ushort InterruptEnable = Base + 1;
    private const ushort FifoControl = Base + 2;
    private const ushort LineControl = Base + 3;
    private const ushort ModemControl = Base + 4;
    private const ushort LineStatus = Base + 5;
    private const byte DataReady = 1;
    private const byte TransmitterEmpty = 0x20;
    private const int WaitLimit = 100_000;

    private readonly byte[] _received = new byte[4096];
    private uint _head;
    private uint _tail;

    /// <summary>Received bytes that were dropped because nobody read.</summary>
    internal ulong Dropped { get; private set; }

    /// <summary>The interrupt line of COM1 on every PC.</summary>
    internal const byte InterruptLine = 4;

    /// <summary>115200 baud, 8 bits, no parity, FIFOs on, no interrupts yet.</summary>
    internal static void Initialize()
    {
        Cpu.Out8(InterruptEnable, 0);
        Cpu.Out8(LineControl, 0x80);
        Cpu.Out8(Data, 1);
        Cpu.Out8(InterruptEnable, 0);
        Cpu.Out8(LineControl, 3);
        Cpu.Out8(FifoControl, 7);
        Cpu.Out8(ModemControl, 0x0B);
    }

    /// <summary>Sends one byte; a transmitter that never gets ready loses it.</summary>
    internal static void Send(byte value)
    {
        for (int i = 0; i < WaitLimit && (Cpu.In8(LineStatus) & TransmitterEmpty) == 0; i++)
        {
            Cpu.Pause();
        }
        Cpu.Out8(Data, value);
    }

    /// <summary>Announces input by interrupt from now on.</summary>
    internal void EnableInput()
    {
        Receive();
        Cpu.Out8(InterruptEnable, 1);
    }

    /// <inheritdoc/>
    public override bool OnInterrupt() => Receive();

    /// <summary>True when there is a byte to take.</summary>
    internal bool HasReceived => _head != _tail;

    /// <summary>Takes one received byte; false when there is none.</summary>
    internal bool TryRead(out byte value)
    {
        value = 0;
        if (_head == _tail)
        {
            return false;
        }
        value = _received[_tail++ % (uint)_received.Length];
        return true;
    }

    private bool Receive()
    {
        bool any = false;
        for (int i = 0; i < WaitLimit && (Cpu.In8(LineStatus) & DataReady) != 0; i++)
        {
            any = true;
            byte value = Cpu.In8(Data);
            if (_head - _tail == (uint)_received.Length)
            {
                Dropped++;
                continue;
            }
            _received[_head++ % (uint)_received.Length] = value;
        }
        return any;
    }
}
