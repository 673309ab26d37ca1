// The I/O APIC: where interrupt pins arrive.
namespace VirtioSharp.Kernel.Machine;

/// <summary>Routes global interrupts to vectors of one processor. The old 8259 pair is masked for good.</summary>
internal sealed unsafe class IoApic
{
    private const uint Masked = 0x10000;
    private const uint Level = 0x8000;

    private readonly byte* _registers;
    private readonly uint _base;
    private readonly uint _count;

    internal IoApic(ulong address, uint firstInterrupt)
    {
        Cpu.Out8(0x21, 0xFF);
        Cpu.Out8(0xA1, 0xFF);
        _registers = (byte*)address;
        _base = firstInterrupt;
        uint version = Read(1);
        _count = version == uint.MaxValue ? 0 : Math.Min((version >> 16 & 0xFF) + 1, 240);
        for (uint i = 0; i < _count; i++)
        {
            Write(0x10 + i * 2, Masked);
        }
    }

    /// <summary>How many interrupts arrive at this controller; 0 when there is none at its address.</summary>
    internal uint Count => _count;

    /// <summary>True when a global interrupt arrives at this controller.</summary>
    internal bool Has(uint interrupt) => interrupt >= _base && interrupt - _base < _count;

    /// <summary>Sends a global interrupt to a vector; false when this controller does not have it.</summary>
    internal bool TryRoute(uint interrupt, byte vector, byte processor, bool level)
    {
        if (!Has(interrupt))
        {
            return false;
        }
        uint index = 0x10 + (interrupt - _base) * 2;
        Write(index + 1, (uint)processor << 24);
        Write(index, vector | (level ? Level : 0));
        return true;
    }

    /// <summary>Silences a global interrupt.</summary>
    internal void Mask(uint interrupt)
    {
        if (Has(interrupt))
        {
            Write(0x10 + (interrupt - _base) * 2, Masked);
        }
    }

    private uint Read(uint register)
    {
        System.Threading.Volatile.Write(ref *(uint*)_registers, register);
        return System.Threading.Volatile.Read(ref *(uint*)(_registers + 16));
    }

    private void Write(uint register, uint value)
    {
        System.Threading.Volatile.Write(ref *(uint*)_registers, register);
        System.Threading.Volatile.Write(ref *(uint*)(_registers + 16), value);
    }
}
