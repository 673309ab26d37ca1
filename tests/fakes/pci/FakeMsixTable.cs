// MSI-X of a fake function: the table in a BAR, and what it does with an interrupt.
using VirtioSharp.Drivers.Pci;

namespace VirtioSharp.Tests.Fakes.Pci;

/// <summary>The vectors of a function: messages, masks and pending bits (PCI 3.0, 6.8.2).</summary>
public sealed class FakeMsixTable
{
    private const int EntryLength = 16;

    private readonly FakePciFunction _function;
    private readonly uint[] _entries;
    private readonly bool[] _pending;
    private readonly ushort _capability;

    /// <summary>Adds MSI-X with its table at the start of a BAR of its own.</summary>
    public FakeMsixTable(FakePciFunction function, int bar, ushort size)
    {
        _function = function;
        Size = size;
        _entries = new uint[size * 4];
        _pending = new bool[size];
        for (int i = 0; i < size; i++)
        {
            _entries[i * 4 + 3] = 1;
        }
        ulong tableLength = (ulong)size * EntryLength;
        ulong length = 4096;
        while (length < tableLength + 2048)
        {
            length *= 2;
        }
        FakePartedBar parts = new(length, () => function.Machine.Violations);
        parts.Add(new FakeBarPart(0, tableLength, Read, Write));
        parts.Add(new FakeBarPart(length - 2048, ((ulong)size + 63) / 64 * 8, ReadPending, (_, _, _) => { }));
        function.AddMemoryBar(bar, parts);
        byte[] body = new byte[10];
        BitConverter.TryWriteBytes(body.AsSpan(0), (ushort)(size - 1));
        BitConverter.TryWriteBytes(body.AsSpan(2), (uint)bar);
        BitConverter.TryWriteBytes(body.AsSpan(6), (uint)(length - 2048) | (uint)bar);
        _capability = function.AddCapability(PciRegisters.CapabilityMsix, body);
        function.Allow(_capability + 2, 2, PciRegisters.MsixEnable | PciRegisters.MsixMaskAll);
    }

    /// <summary>How many vectors there are.</summary>
    public ushort Size { get; }

    /// <summary>Where the capability lies in config space.</summary>
    public ushort Capability => _capability;

    /// <summary>True when the driver turned MSI-X on.</summary>
    public bool IsEnabled => (Control & PciRegisters.MsixEnable) != 0;

    private ushort Control => _function.Get16(_capability + 2);

    /// <summary>True when a vector can't deliver at the moment.</summary>
    public bool IsMasked(ushort vector) => (Control & PciRegisters.MsixMaskAll) != 0 || (_entries[vector * 4 + 3] & 1) != 0;

    /// <summary>Sends the message of a vector, or remembers it while masked.</summary>
    public void Raise(ushort vector)
    {
        _function.Machine.Violations.Require(vector < Size, "the fake raised a vector that it does not have");
        if (IsMasked(vector))
        {
            _pending[vector] = true;
            return;
        }
        _pending[vector] = false;
        _function.Machine.DeliverMessage(_entries[vector * 4] | (ulong)_entries[vector * 4 + 1] << 32, _entries[vector * 4 + 2]);
    }

    /// <summary>Sends what became possible after a mask was taken away.</summary>
    public void RaisePending()
    {
        for (ushort i = 0; i < Size && IsEnabled; i++)
        {
            if (_pending[i] && !IsMasked(i))
            {
                Raise(i);
            }
        }
    }

    private uint Read(ulong offset, int width)
    {
        CheckWidth(width);
        return _entries[offset / 4];
    }

    private void Write(ulong offset, int width, uint value)
    {
        CheckWidth(width);
        ushort vector = (ushort)(offset / EntryLength);
        bool isMessage = offset % EntryLength != 12;
        _function.Machine.Violations.Require(
            !isMessage || !IsEnabled || IsMasked(vector),
            "the message of a vector was changed while the vector is open");
        _entries[offset / 4] = value;
        RaisePending();
    }

    private uint ReadPending(ulong offset, int width)
    {
        uint value = 0;
        for (int bit = 0; bit < width * 8; bit++)
        {
            ulong vector = offset * 8 + (ulong)bit;
            value |= vector < Size && _pending[vector] ? 1u << bit : 0;
        }
        return value;
    }

    private void CheckWidth(int width) => _function.Machine.Violations.Require(width == 4, "the MSI-X table is accessed in 32 bits only");
}
