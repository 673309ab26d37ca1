// The tests' targets, loaded with drivers that count where they come by.
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using System.Runtime.Loader;

namespace VirtioSharp.Fuzz;

/// <summary>The targets of tests/fuzz, with an instrumented copy of the drivers beside them.</summary>
internal sealed class Session
{
    private readonly FieldInfo _previous;

    /// <summary>Loads the drivers of <paramref name="bin"/>, where the tests are as well; see <see cref="Instrument.Rewrite"/>.</summary>
    public Session(string bin, bool byBlock)
    {
        byte[] drivers = Instrument.Rewrite(Path.Combine(bin, "VirtioSharp.Drivers.dll"), byBlock, out IReadOnlyList<string> owners);
        Owners = owners;
        AssemblyLoadContext context = new("fuzz");
        Assembly instrumented = context.LoadFromStream(new MemoryStream(drivers));
        context.Resolving += (_, wanted) => wanted.Name == instrumented.GetName().Name ? instrumented : null;
        Assembly tests = context.LoadFromStream(new MemoryStream(File.ReadAllBytes(Path.Combine(bin, "VirtioSharp.Tests.dll"))));
        Type edges = instrumented.GetType(Instrument.TypeName)!;
        edges.GetField("Map")!.SetValue(null, Map);
        _previous = edges.GetField("Previous")!;
        Targets = (IReadOnlyDictionary<string, Action<byte[]>>)tests.GetType("VirtioSharp.Tests.Fuzz.FuzzTargets")!.GetProperty("All")!.GetValue(null)!;
    }

    /// <summary>The counters.</summary>
    public byte[] Map { get; } = new byte[Instrument.MapLength];

    /// <summary>Type and method of each block.</summary>
    public IReadOnlyList<string> Owners { get; }

    /// <summary>The targets by name.</summary>
    public IReadOnlyDictionary<string, Action<byte[]>> Targets { get; }

    /// <summary>Before each run.</summary>
    public void Clear()
    {
        Array.Clear(Map);
        _previous.SetValue(null, 0);
    }
}
