// A driver for tests of the fakes: every register by hand, so that it can do wrong on purpose.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fakestests;

/// <summary>Drives a fake virtio PCI device by hand.</summary>
public sealed class RawDriver : IDisposable
{
    /// <summary>The size of the queue it sets up.</summary>
    public const ushort QueueSize = 8;

    private const uint AvailableOffset = 128;
    private const uint UsedOffset = 256;

    private readonly IoRegion _registers;
    private readonly List<DmaBuffer> _shared = [];
    private ushort _available;

    /// <summary>Plugs the device in and maps its registers.</summary>
    public RawDriver(FakeVirtioDevice device, ushort vectors = 0)
    {
        Function = Machine.Plug(new FakeVirtioPciDevice(device, vectors), 0, 1);
        Scanned = new ScannedPciFunction(Machine, Function.Address);
        Assert.True(Scanned.TryEnable());
        Assert.True(Scanned.TryMapBar(FakeVirtioPciDevice.RegisterBar, out IoRegion? registers));
        _registers = registers!;
        Assert.True(Machine.Dma.TryAllocate(1024, 64, out DmaBuffer ring));
        Ring = ring;
        Assert.True(Machine.Dma.TryAllocate(4096, 64, out DmaBuffer data));
        Data = data;
    }

    /// <summary>The machine.</summary>
    public FakeMachine Machine { get; } = new();

    /// <summary>The device's function.</summary>
    public FakeVirtioPciDevice Function { get; }

    /// <summary>The function as drivers see it.</summary>
    public ScannedPciFunction Scanned { get; }

    /// <summary>The memory of the ring: descriptors at 0, available at 128, used at 256.</summary>
    public DmaBuffer Ring { get; }

    /// <summary>Memory for buffers.</summary>
    public DmaBuffer Data { get; }

    /// <summary>The queue that it sets up and offers chains in.</summary>
    public ushort Queue { get; init; }

    /// <summary>The used index.</summary>
    public ushort UsedIndex => BitConverter.ToUInt16(Ring.Span.Slice((int)UsedOffset + 2, 2));

    /// <summary>Reads a register.</summary>
    public uint Read(uint offset, int width) => width switch
    {
        1 => _registers.Read8(offset),
        2 => _registers.Read16(offset),
        _ => _registers.Read32(offset),
    };

    /// <summary>Writes a register.</summary>
    public void Write(uint offset, int width, uint value)
    {
        switch (width)
        {
            case 1:
                _registers.Write8(offset, (byte)value);
                break;
            case 2:
                _registers.Write16(offset, (ushort)value);
                break;
            default:
                _registers.Write32(offset, value);
                break;
        }
    }

    /// <summary>Writes the status.</summary>
    public void SetStatus(byte status) => Write(20, 1, status);

    /// <summary>Resets the device and sees that it is reset.</summary>
    public void Reset()
    {
        SetStatus(0);
        Assert.Equal(0u, Read(20, 1));
    }

    /// <summary>Goes as far as FEATURES_OK.</summary>
    public void Negotiate(ulong features = FakeVirtioDevice.Version1)
    {
        Reset();
        SetStatus(1);
        SetStatus(3);
        Write(8, 4, 0);
        Write(12, 4, (uint)features);
        Write(8, 4, 1);
        Write(12, 4, (uint)(features >> 32));
        SetStatus(11);
    }

    /// <summary>Lends the ring and sets the queue up.</summary>
    public void EnableQueue(ushort size = QueueSize, uint shift = 0, bool lend = true)
    {
        if (lend)
        {
            Share(Ring, DmaDirection.Both);
        }
        Write(22, 2, Queue);
        Write(24, 2, size);
        ulong[] areas = [Ring.DeviceAddress + shift, Ring.DeviceAddress + AvailableOffset, Ring.DeviceAddress + UsedOffset];
        for (uint i = 0; i < 3; i++)
        {
            Write(32 + 8 * i, 4, (uint)areas[i]);
            Write(36 + 8 * i, 4, (uint)(areas[i] >> 32));
        }
        Write(28, 2, 1);
    }

    /// <summary>Everything up to DRIVER_OK.</summary>
    public void Start(ulong features = FakeVirtioDevice.Version1)
    {
        Negotiate(features);
        EnableQueue();
        SetStatus(15);
    }

    /// <summary>Lends memory.</summary>
    public void Share(in DmaBuffer buffer, DmaDirection direction)
    {
        Machine.Dma.Share(buffer, direction);
        if (direction == DmaDirection.Both)
        {
            _shared.Add(buffer);
        }
    }

    /// <summary>Writes a descriptor.</summary>
    public void Describe(int index, ulong address, uint length, ushort flags, ushort next = 0)
    {
        Span<byte> descriptor = Ring.Span.Slice(index * 16, 16);
        BitConverter.TryWriteBytes(descriptor, address);
        BitConverter.TryWriteBytes(descriptor[8..], length);
        BitConverter.TryWriteBytes(descriptor[12..], flags);
        BitConverter.TryWriteBytes(descriptor[14..], next);
    }

    /// <summary>Makes a chain available, and rings the doorbell.</summary>
    public void Offer(ushort head, bool ring = true)
    {
        BitConverter.TryWriteBytes(Ring.Span[(int)(AvailableOffset + 4 + 2 * (_available % QueueSize))..], head);
        SetAvailableIndex(++_available);
        if (ring)
        {
            Notify(Queue);
        }
    }

    /// <summary>Writes the available index.</summary>
    public void SetAvailableIndex(ushort value) => BitConverter.TryWriteBytes(Ring.Span[((int)AvailableOffset + 2)..], value);

    /// <summary>Writes the available flags.</summary>
    public void SetAvailableFlags(ushort value) => BitConverter.TryWriteBytes(Ring.Span[(int)AvailableOffset..], value);

    /// <summary>Rings a doorbell.</summary>
    public void Notify(ushort queue) => Write(FakeVirtioPciDevice.NotifyOffset + 4u * queue, 2, queue);

    /// <summary>Expects that a rule is broken, in words that contain <paramref name="part"/>.</summary>
    public void Breaks(string part, Action what)
    {
        FakeDeviceException exception = Assert.Throws<FakeDeviceException>(what);
        Assert.Contains(part, exception.Message);
        Assert.NotEmpty(Machine.Violations.Entries);
        Machine.Violations.Forgive();
    }

    /// <inheritdoc/>
    public void Dispose() => Machine.Dispose();
}
