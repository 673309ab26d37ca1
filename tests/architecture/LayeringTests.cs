// Who may import whom: every using, and every name written out, against the table of layers.
using System.Text.RegularExpressions;
using Xunit;

namespace VirtioSharp.Tests.Architecture;

/// <summary>The layers of drivers/ and kernel/.</summary>
public sealed partial class LayeringTests
{
    private const string Platform = "VirtioSharp.Drivers.Platform";
    private const string Pci = "VirtioSharp.Drivers.Pci";
    private const string Virtio = "VirtioSharp.Drivers.Virtio";
    private const string Queue = "VirtioSharp.Drivers.Virtio.Queue";
    private const string Transport = "VirtioSharp.Drivers.Virtio.Transport";
    private const string Block = "VirtioSharp.Drivers.Block";
    private const string Console = "VirtioSharp.Drivers.Console";

    private static readonly string[] SystemParts =
    [
        "System", "System.Buffers.Binary", "System.Diagnostics.CodeAnalysis", "System.Numerics", "System.Runtime.CompilerServices",
        "System.Runtime.InteropServices", "System.Threading",
    ];

    // The first row whose pattern fits a file says what it may import.
    private static readonly (string Pattern, string[] Allowed)[] Layers =
    [
        ("^drivers/platform/", []),
        ("^drivers/pci/(DriverRegistry|DeviceTable)\\.cs$", [Platform, Block, Console]),
        ("^drivers/pci/", [Platform]),
        ("^drivers/virtio/transport/[^/]*Pci[^/]*\\.cs$", [Platform, Virtio, Pci]),
        ("^drivers/virtio/transport/", [Platform, Virtio]),
        ("^drivers/virtio/trace/", [Platform, Pci, Virtio, Queue, Transport]),
        ("^drivers/virtio/queue/", [Platform, Transport]),
        ("^drivers/virtio/[^/]*\\.cs$", [Platform, Queue, Transport]),
        ("^drivers/partitions/", [Platform, Block]),
        ("^drivers/[a-z]+/Virtio[^/]*\\.cs$", [Platform, Virtio, Queue, Transport]),
        ("^drivers/[a-z]+/[^/]*\\.cs$", [Platform]), // device classes
    ];

    [Fact]
    public void Drivers_import_only_what_their_layer_may()
    {
        List<string> wrong = [];
        IReadOnlyList<SourceFile> files = SourceTree.Read("drivers");
        Assert.NotEmpty(files);
        foreach (SourceFile file in files)
        {
            string[]? allowed = Layers.Where(layer => Regex.IsMatch(file.Path, layer.Pattern)).Select(layer => layer.Allowed).FirstOrDefault();
            if (allowed is null)
            {
                wrong.Add($"{file.Path}: the table of layers does not know its folder");
                continue;
            }
            string own = NamespaceOf(file.Path);
            foreach ((int number, string code) in file.Code())
            {
                Match import = Using().Match(code);
                string name = import.Success ? import.Groups[1].Value : "";
                if (import.Success && name != own && !allowed.Contains(name) && !SystemParts.Contains(name))
                {
                    wrong.Add($"{file.Path}:{number}: imports {name}");
                }
                if (!import.Success && code.Contains("VirtioSharp.") && !code.StartsWith("namespace ", StringComparison.Ordinal))
                {
                    wrong.Add($"{file.Path}:{number}: writes a namespace out instead of importing it");
                }
            }
        }
        Assert.True(wrong.Count == 0, string.Join(Environment.NewLine, wrong));
    }

    [Fact]
    public void What_lies_above_the_transport_knows_no_bus()
    {
        List<string> wrong = [];
        Regex above = new("^drivers/(virtio/[^/]*\\.cs|virtio/queue/|(?!platform|pci|virtio)[a-z]+/)");
        foreach (SourceFile file in SourceTree.Read("drivers").Where(file => above.IsMatch(file.Path)))
        {
            foreach ((int number, string code) in file.Code())
            {
                if (BusName().IsMatch(code))
                {
                    wrong.Add($"{file.Path}:{number}: {code.Trim()}");
                }
            }
        }
        Assert.True(wrong.Count == 0, string.Join(Environment.NewLine, wrong));
    }

    [Fact]
    public void What_lies_above_the_queue_knows_no_ring_format()
    {
        Regex above = new("^(drivers/(virtio/[^/]*|(?!platform|pci|virtio)[a-z]+/.*)|kernel/apps/.*)\\.cs$");
        string[] below = ["drivers/virtio/VirtioRegisters.cs", "kernel/apps/RecoveryTests.cs"]; // the names, and what breaks rings on purpose
        string[] wrong =
        [
            .. SourceTree.Read("drivers").Concat(SourceTree.Read("kernel"))
                .Where(file => above.IsMatch(file.Path) && !below.Contains(file.Path))
                .SelectMany(file => file.Code()
                    .Where(line => Regex.IsMatch(line.Code, "\\b((Split|Packed)(Virtqueue|Layout)|RingVirtqueue|RingPacked|InOrder|NotificationData\\b)"))
                    .Select(line => $"{file.Path}:{line.Number}: {line.Code.Trim()}")),
        ];
        Assert.True(wrong.Length == 0, string.Join(Environment.NewLine, wrong));
    }

    [Fact]
    public void Drivers_never_import_the_kernel_or_the_tests()
    {
        IEnumerable<string> wrong = SourceTree.Read("drivers")
            .SelectMany(file => file.Code()
                .Where(line => Regex.IsMatch(line.Code, "VirtioSharp\\.(Kernel|Tests)"))
                .Select(line => $"{file.Path}:{line.Number}"));
        Assert.Empty(wrong);
    }

    [Fact]
    public void A_namespace_is_the_folder()
    {
        List<string> wrong = [];
        foreach (SourceFile file in SourceTree.Read("drivers").Concat(SourceTree.Read("tests")))
        {
            string expected = $"namespace {NamespaceOf(file.Path)};";
            if (!file.Lines.Contains(expected))
            {
                wrong.Add($"{file.Path}: expected {expected}");
            }
        }
        Assert.True(wrong.Count == 0, string.Join(Environment.NewLine, wrong));
    }

    private static string NamespaceOf(string path)
    {
        string[] parts = path.Split('/')[..^1];
        return "VirtioSharp." + string.Join('.', parts.Select(part => char.ToUpperInvariant(part[0]) + part[1..]));
    }

    [GeneratedRegex("^using (?:static )?([A-Z][A-Za-z.]*);")]
    private static partial Regex Using();

    [GeneratedRegex("\\b(ModernPci|LegacyPci|Mmio|Pci[A-Z])")]
    private static partial Regex BusName();
}
