// Fuzzing of the probe: config space, capability lists, and registers that answer what they like.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using Xunit;

namespace VirtioSharp.Tests.Fuzz;

/// <summary>A function is scanned, probed, used when a driver takes it, and removed. Nothing may be left over.</summary>
internal static class ProbeTargets
{
    private const int BarLength = 0x4000;

    /// <summary>Config space as raw bytes; the registers are plain memory.</summary>
    public static void ConfigSpace(byte[] bytes)
    {
        FuzzInput input = new(bytes);
        FakePciFunction function = NewFunction(input, out byte first);
        AddBars(function, input, first);
        byte[] raw = input.Take(256 - PciRegisters.FirstCapability);
        for (int i = 0; i < raw.Length; i++)
        {
            function.Set8(PciRegisters.FirstCapability + i, raw[i]);
        }
        function.Set8(PciRegisters.CapabilitiesPointer, (byte)((first & 0x80) != 0 ? input.Next8() : PciRegisters.FirstCapability));
        function.Set16(PciRegisters.Status, (ushort)(function.Get16(PciRegisters.Status) | PciRegisters.StatusCapabilities));
        function.Set8(PciRegisters.InterruptPin, input.Next8());
        Meet(function, first, input);
    }

    /// <summary>A list of capabilities that are nearly right.</summary>
    public static void Capabilities(byte[] bytes)
    {
        FuzzInput input = new(bytes);
        FakePciFunction function = NewFunction(input, out byte first);
        AddBars(function, input, first);
        List<ushort> places = [];
        for (int count = 0; count < 9 && !input.IsEmpty; count++)
        {
            byte kind = input.Next8();
            places.Add(kind < 0xC0 ? AddVirtio(function, input, kind) : AddOther(function, input, kind));
        }
        // Links that lead elsewhere.
        for (int count = 0; count < 2 && !input.IsEmpty && places.Count > 0; count++)
        {
            byte which = input.Next8();
            if ((which & 0x80) != 0)
            {
                function.Set8(places[which % places.Count] + 1, (which & 0x40) != 0 ? input.Next8() : (byte)places[input.Below(places.Count)]);
            }
        }
        Meet(function, first, input);
    }

    /// <summary>Right capabilities, and registers that hold what was written, unless the bytes say otherwise.</summary>
    public static void Registers(byte[] bytes)
    {
        FuzzInput input = new(bytes);
        FakePciFunction function = NewFunction(input, out byte first);
        LyingBar bar = new(input);
        function.AddMemoryBar(0, bar);
        foreach ((byte type, uint offset, uint length) in new[] { ((byte)1, 0u, 56u), ((byte)3, 0x1000u, 1u), ((byte)4, 0x2000u, 96u), ((byte)2, 0x3000u, 0x1000u) })
        {
            byte[] body = new byte[type == 2 ? 18 : 14];
            body[0] = (byte)(body.Length + 2);
            body[1] = type;
            BitConverter.TryWriteBytes(body.AsSpan(6), offset);
            BitConverter.TryWriteBytes(body.AsSpan(10), length);
            function.AddCapability(PciRegisters.CapabilityVendor, body);
        }
        function.Set8(PciRegisters.InterruptPin, 1);
        bar.Set(18, (first & 4) != 0 ? (ushort)2 : (ushort)1); // num_queues
        bar.Set(24, (ushort)(1 << (first >> 3 & 7))); // queue_size
        bar.Set(0x2000, 0x100); // the capacity, low word
        bar.Features = input.Next32() | 1ul << 32 | (ulong)input.Next8() << 33;
        bar.IsLying = true;
        Meet(function, first, input, bar);
    }

    private static FakePciFunction NewFunction(FuzzInput input, out byte first)
    {
        first = input.Next8();
        return new FakePciFunction(0x1AF4, (ushort)(0x1042 + (first & 1)));
    }

    /// <summary>One or two BARs of plain memory, with what a driver looks at first.</summary>
    internal static void AddBars(FakePciFunction function, FuzzInput input, byte first)
    {
        for (int i = 0; i <= (first >> 1 & 1); i++)
        {
            FakeMemoryBar bar = new(BarLength);
            bar.Write(4, 4, 0xFFFF_FFFF); // features: everything, in both words
            bar.Write(18, 2, 1 + (uint)(first >> 2 & 1));
            bar.Write(24, 2, (first & 8) != 0 ? input.Next16() : 64u);
            bar.Write(30, 2, input.Next8());
            function.AddMemoryBar(i * 2, bar, is64Bit: (first & 16) != 0);
        }
    }

    /// <summary>A virtio capability that is nearly right.</summary>
    internal static ushort AddVirtio(FakePciFunction function, FuzzInput input, byte kind)
    {
        byte[] body = new byte[(kind & 7) is 2 or 5 or 8 ? 18 : 14];
        body[0] = (kind & 8) != 0 ? input.Next8() : (byte)(body.Length + 2);
        body[1] = (byte)((kind & 7) + (kind >> 6));
        body[2] = (kind & 16) != 0 ? input.Next8() : (byte)0;
        uint[] offsets = [0, 0x1000, 0x2000, 0x3000];
        BitConverter.TryWriteBytes(body.AsSpan(6), (kind & 32) != 0 ? input.NextInteresting(BarLength) : offsets[input.Below(4)]);
        BitConverter.TryWriteBytes(body.AsSpan(10), (kind & 32) != 0 ? input.NextInteresting(0x1000) : 0x1000);
        if (body.Length == 18)
        {
            BitConverter.TryWriteBytes(body.AsSpan(14), input.NextInteresting(4));
        }
        return function.AddCapability(PciRegisters.CapabilityVendor, body);
    }

    /// <summary>A capability of another kind, with anything in it.</summary>
    internal static ushort AddOther(FakePciFunction function, FuzzInput input, byte kind)
    {
        byte[] ids = [PciRegisters.CapabilityMsix, PciRegisters.CapabilityMsi, 0x10, PciRegisters.CapabilityVendor];
        return function.AddCapability(ids[kind & 3], input.Take((kind >> 2 & 3) * 4 + 10));
    }

    private static void Meet(FakePciFunction function, byte first, FuzzInput input, LyingBar? bar = null)
    {
        FakeMachine machine = new() { MayMiss = true, RefusesMemory = (first & 0x60) == 0x60 };
        try
        {
            machine.Plug(function, 0, 1);
            DeviceTable devices = FakeBinding.Attach(machine, out _);
            while (devices.Count > 0)
            {
                Use(machine, devices, input, bar);
            }
            // A device that does not come out of reset keeps what it was lent: no leak.
            Assert.True(machine.HandlerCount == 0, "an interrupt handler was left over");
            Assert.True(machine.FakeDma.AllocatedBytes == 0 || (bar?.WasStuck ?? false), "memory was left over");
        }
        finally
        {
            machine.Dispose();
        }
    }

    private static void Use(FakeMachine machine, DeviceTable devices, FuzzInput input, LyingBar? bar)
    {
        Device device = devices[0];
        TestRequest? request = null;
        DmaBuffer buffer = default;
        bool taken = false;
        if (device is BlockDevice disk)
        {
            Assert.True(disk.Dma.TryAllocate(disk.BlockSize, 512, out buffer));
            request = TestRequest.For(BlockOperation.Read, 0, buffer);
            taken = disk.Submit(request) == IoStatus.Ok;
            disk.Kick();
        }
        for (int round = 0; round < 4; round++)
        {
            bar?.WriteRing(machine.FakeDma, input);
            device.Poll();
            machine.FakeClock.Advance(10_000_000);
            device.OnDeadline(machine.Clock.Now);
        }
        device.Remove();
        devices.Remove(device);
        if (request is not null)
        {
            Assert.Equal(taken ? 1 : 0, request.Completions);
            machine.FakeDma.Free(buffer);
        }
    }

    /// <summary>Plain memory, but a read may show anything as long as there are bytes left.</summary>
    private sealed class LyingBar(FuzzInput input) : FakeBar
    {
        private readonly byte[] _bytes = new byte[BarLength];

        public ulong Features { get; set; }

        public bool IsLying { get; set; }

        public bool WasStuck { get; private set; }

        public override ulong Length => BarLength;

        public void Set(int offset, ushort value) => BitConverter.TryWriteBytes(_bytes.AsSpan(offset), value);

        public override uint Read(ulong offset, int width)
        {
            uint value = 0;
            for (int i = 0; i < width; i++)
            {
                value |= (uint)_bytes[(int)offset + i] << (8 * i);
            }
            if (offset == 4)
            {
                value = (uint)(BitConverter.ToUInt32(_bytes, 0) == 0 ? Features : Features >> 32);
            }
            if (IsLying && !input.IsEmpty)
            {
                byte choice = input.Next8();
                value = (choice & 0xC0) == 0xC0 ? (choice & 0x20) != 0 ? input.NextInteresting(value) : value ^ 1u << (choice & 31) : value;
                value &= width == 4 ? uint.MaxValue : (1u << (8 * width)) - 1;
            }
            WasStuck |= offset == 20 && value != 0 && _bytes[20] == 0;
            return value;
        }

        public override void Write(ulong offset, int width, uint value)
        {
            for (int i = 0; i < width; i++)
            {
                _bytes[(int)offset + i] = (byte)(value >> (8 * i));
            }
        }

        /// <summary>Writes where the driver said that the device writes; behind what was lent nothing happens.</summary>
        public void WriteRing(FakeDma dma, FuzzInput bytes)
        {
            for (int i = 0; i < 4 && !bytes.IsEmpty; i++)
            {
                byte what = bytes.Next8();
                ulong area = BitConverter.ToUInt64(_bytes, (what & 1) != 0 ? 0x20 : 0x30);
                dma.TryDeviceWrite(area + (ulong)(what >> 1) / 2 * 2, bytes.NextBytes(2, what));
            }
        }
    }
}
