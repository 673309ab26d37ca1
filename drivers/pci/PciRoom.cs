// Room for BARs in one window of memory.
namespace VirtioSharp.Drivers.Pci;

/// <summary>Gives out aligned ranges of a window, the lowest that is free first, and takes them back.</summary>
public sealed class PciRoom
{
    private ulong[] _starts = new ulong[8];
    private ulong[] _ends = new ulong[8];
    private int _count;
    private ulong _start;
    private ulong _end;

    /// <summary>The size of the window in bytes; 0 when there is none.</summary>
    public ulong Length => _end - _start;

    /// <summary>The first address of the window; 0 when there is none.</summary>
    public ulong Start => _start;

    /// <summary>Sets the window; what was given out of another one is forgotten.</summary>
    public void Open(ulong start, ulong end)
    {
        _start = start;
        _end = end;
        _count = 0;
    }

    /// <summary>
    /// Takes <paramref name="length"/> bytes, a power of two, at a multiple of the length; false when there is no such place left.
    /// </summary>
    public bool TryTake(ulong length, out ulong address)
    {
        address = 0;
        if (length == 0 || length > Length || _start + length - 1 < _start)
        {
            return false;
        }
        address = (_start + length - 1) & ~(length - 1);
        // The ranges are sorted: each one in the way moves the place behind it.
        for (int i = 0; i < _count; i++)
        {
            if (_starts[i] < address + length && address < _ends[i])
            {
                address = (_ends[i] + length - 1) & ~(length - 1);
            }
        }
        if (address < _start || address >= _end || length > _end - address)
        {
            return false;
        }
        Note(address, length);
        return true;
    }

    /// <summary>Notes a range that somebody else gave out, as firmware does.</summary>
    public void Note(ulong address, ulong length)
    {
        if (_count == _starts.Length)
        {
            Array.Resize(ref _starts, _count * 2);
            Array.Resize(ref _ends, _count * 2);
        }
        int place = _count++;
        for (; place > 0 && _starts[place - 1] > address; place--)
        {
            _starts[place] = _starts[place - 1];
            _ends[place] = _ends[place - 1];
        }
        _starts[place] = address;
        _ends[place] = address + length;
    }

    /// <summary>Takes back the range that begins at <paramref name="address"/>; nothing happens when there is none.</summary>
    public void Return(ulong address)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_starts[i] == address)
            {
                _count--;
                for (int j = i; j < _count; j++)
                {
                    _starts[j] = _starts[j + 1];
                    _ends[j] = _ends[j + 1];
                }
                return;
            }
        }
    }
}
