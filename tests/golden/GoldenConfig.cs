// The config space of a real device model, kept as text: capture, file, replay on the fake bus.
using System.Globalization;
using System.IO;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Tests.Architecture;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;

namespace VirtioSharp.Tests.Golden;

/// <summary>256 bytes of config space, and what each BAR register reads after all ones were written to it.</summary>
public sealed class GoldenConfig
{
    private const int Length = 256;
    private const int Bars = 6;

    private readonly byte[] _bytes = new byte[Length];
    private readonly uint[] _sizing = new uint[Bars];

    /// <summary>The bytes of config space.</summary>
    public IReadOnlyList<byte> Bytes => _bytes;

    /// <summary>Reads a device without the code under test; decoding is off while its BARs are sized, and everything is put back.</summary>
    public static GoldenConfig Capture(PciHost host, PciAddress address)
    {
        GoldenConfig config = new();
        for (ushort i = 0; i < Length; i++)
        {
            config._bytes[i] = host.ReadConfig8(address, i);
        }
        ushort command = host.ReadConfig16(address, 0x04);
        host.WriteConfig16(address, 0x04, (ushort)(command & ~7));
        for (int i = 0; i < Bars; i++)
        {
            ushort offset = (ushort)(0x10 + 4 * i);
            uint before = host.ReadConfig32(address, offset);
            host.WriteConfig32(address, offset, uint.MaxValue);
            config._sizing[i] = host.ReadConfig32(address, offset);
            host.WriteConfig32(address, offset, before);
        }
        host.WriteConfig16(address, 0x04, command);
        return config;
    }

    /// <summary>Reads tests/golden/<paramref name="name"/>.txt.</summary>
    public static GoldenConfig Load(string name)
    {
        GoldenConfig config = new();
        foreach (string line in SourceTree.Lines($"tests/golden/{name}.txt").Where(line => line.Length > 0 && line[0] != '#'))
        {
            string[] words = line.Split(' ');
            if (words[0] == "bar")
            {
                config._sizing[int.Parse(words[1], CultureInfo.InvariantCulture)] = uint.Parse(words[2], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                continue;
            }
            Convert.FromHexString(string.Concat(words[1..])).CopyTo(config._bytes, Convert.ToInt32(words[0].TrimEnd(':'), 16));
        }
        return config;
    }

    /// <summary>Writes a file that <see cref="Load"/> reads; the comment says where the bytes are from.</summary>
    public void Save(string path, string comment)
    {
        IEnumerable<string> rows = _bytes.Chunk(16).Select((row, i) => $"{i * 16:x2}: {string.Join(' ', row.Select(each => each.ToString("x2")))}");
        IEnumerable<string> sizes = _sizing.Select((value, i) => $"bar {i} {value:x8}");
        File.WriteAllLines(path, [$"# {comment}", .. rows, .. sizes]);
    }

    /// <summary>Plugs the device into a fake machine: config space only, with the bits of the BARs that can be written.</summary>
    public void Plug(FakeMachine machine)
    {
        FakePciFunction function = machine.Plug(new FakePciFunction(0, 0), 0, 1);
        for (int i = 0; i < Length; i++)
        {
            function.Set8(i, _bytes[i]);
        }
        for (int i = 0; i < Bars; i++)
        {
            int offset = 0x10 + 4 * i;
            bool isHighHalf = i > 0 && (_bytes[offset - 4] & 7) == 4;
            uint flags = isHighHalf ? 0 : (_bytes[offset] & 1) != 0 ? 3u : 15u;
            function.Allow(offset, 4, _sizing[i] & ~flags);
        }
    }

    /// <summary>What the code under test makes of a function: its ids, its BARs without their addresses, its capabilities.</summary>
    public static string[] Describe(PciFunction function)
    {
        List<string> lines = [$"{function.ReadConfig16(0):x4}:{function.ReadConfig16(2):x4}"];
        for (int i = 0; i < Bars; i++)
        {
            if (function.TryGetBar(i, out PciBar bar))
            {
                string sort = bar.IsPorts ? "ports" : $"memory{(bar.Is64Bit ? "64" : "32")}{(bar.IsPrefetchable ? " prefetchable" : "")}";
                lines.Add($"bar {i} {sort} 0x{bar.Length:x}");
            }
        }
        PciCapabilities walk = new(function);
        while (walk.MoveNext())
        {
            ushort place = walk.Offset;
            lines.Add(walk.Id == PciRegisters.CapabilityVendor
                ? $"{place:x2} virtio {function.ReadConfig8((ushort)(place + 3))} bar {function.ReadConfig8((ushort)(place + 4))} " +
                    $"0x{function.ReadConfig32((ushort)(place + 8)):x}+0x{function.ReadConfig32((ushort)(place + 12)):x}"
                : $"{place:x2} id {walk.Id:x2}");
        }
        return [.. lines];
    }
}
