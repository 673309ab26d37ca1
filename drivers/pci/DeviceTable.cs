// The devices that are in service, in the order in which they were found.
using System.Runtime.CompilerServices;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

/// <summary>The list of devices in service. Applications pick by class: <c>table[i] is BlockDevice disk</c>.</summary>
public sealed class DeviceTable
{
    private Device[] _devices = new Device[8];
    private int _count;

    /// <summary>How many devices there are.</summary>
    public int Count => _count;

    /// <summary>The device at <paramref name="index"/>, 0 to <see cref="Count"/> - 1.</summary>
    public Device this[int index]
    {
        get
        {
            Platform.Contract.Require((uint)index < (uint)_count, "no device has this index");
            return _devices[index];
        }
    }

    /// <summary>How often a device came or went.</summary>
    public ulong Changes { get; private set; }

    /// <summary>Enters a device.</summary>
    public void Add(Device device)
    {
        Changes++;
        if (_count == _devices.Length)
        {
            Array.Resize(ref _devices, _count * 2);
        }
        _devices[_count++] = device;
    }

    /// <summary>Strikes a device out; false when it is not in the table. The order of the others stays.</summary>
    public bool Remove(Device device)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_devices[i] == device)
            {
                for (int j = i + 1; j < _count; j++)
                {
                    _devices[j - 1] = _devices[j];
                }
                _devices[--_count] = null!;
                Changes++;
                return true;
            }
        }
        return false;
    }

    /// <summary>Lets every device do the work that is there. The last comes first: when one goes meanwhile, none is left out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Poll()
    {
        for (int i = _count - 1; i >= 0; i--)
        {
            if (i < _count)
            {
                _devices[i].Poll();
            }
        }
    }

    /// <summary>True when a device is waited for that can't interrupt.</summary>
    public bool WantsPolling()
    {
        for (int i = 0; i < _count; i++)
        {
            if (_devices[i].WantsPolling)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Calls every device whose deadline has passed.</summary>
    public void OnDeadline(ulong now)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_devices[i].NextDeadline <= now)
            {
                _devices[i].OnDeadline(now);
            }
        }
    }

    /// <summary>The earliest moment at which a device wants to be polled even without an interrupt.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong NextDeadline()
    {
        ulong earliest = ulong.MaxValue;
        for (int i = 0; i < _count; i++)
        {
            earliest = Math.Min(earliest, _devices[i].NextDeadline);
        }
        return earliest;
    }
}
