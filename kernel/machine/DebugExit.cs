// The ways to end the machine.
namespace VirtioSharp.Kernel.Machine;

/// <summary>How the run ended, as QEMU's isa-debug-exit device is told: QEMU ends with twice the value plus one.</summary>
public enum ExitCode : byte
{
    /// <summary>All went well: 33.</summary>
    Success = 0x10,

    /// <summary>A command or a test failed: 35.</summary>
    Failure = 0x11,

    /// <summary>A panic: 37.</summary>
    Panic = 0x12,
}

internal static class DebugExit
{
    private const ushort ExitPort = 0xF4;
    private const ushort PowerPort = 0x604;

    /// <summary>
    /// Ends the machine by the debug port, else by power off as QEMU's PCs do it, else stands still. It never resets: a machine that
    /// boots again and again would hide what it said.
    /// </summary>
    internal static void End(ExitCode code)
    {
        SerialPort.StopBuffering();
        Cpu.DisableInterrupts();
        Cpu.Out8(ExitPort, (byte)code);
        Cpu.Out16(PowerPort, 0x2000);
        Cpu.Stop();
    }
}
