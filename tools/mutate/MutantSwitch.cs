// Stryker's switch between mutants, which it puts into the assembly that it mutates.
using System.Collections.Generic;
using System.Linq;
using System.Reflection;

namespace VirtioSharp.Mutate;

/// <summary>Sets which mutant is active, and asks which ones a test reached.</summary>
internal sealed class MutantSwitch
{
    private readonly FieldInfo _active;
    private readonly FieldInfo _capture;
    private readonly MethodInfo _coverage;
    private readonly MethodInfo _reset;

    /// <summary>Finds it in a mutated assembly.</summary>
    public MutantSwitch(Assembly assembly)
    {
        Type control = assembly.GetTypes().Single(type => type.Name == "MutantControl");
        _active = control.GetField("ActiveMutant")!;
        _capture = control.GetField("CaptureCoverage")!;
        _coverage = control.GetMethod("GetCoverageData")!;
        _reset = control.GetMethod("ResetCoverage")!;
        Activate(-1);
    }

    /// <summary>-1 for none.</summary>
    public void Activate(int id) => _active.SetValue(null, id);

    /// <summary>From here on it is noted which mutants are reached.</summary>
    public void BeginCoverage()
    {
        _reset.Invoke(null, null);
        _capture.SetValue(null, true);
    }

    /// <summary>Those that were.</summary>
    public int[] EndCoverage()
    {
        _capture.SetValue(null, false);
        return [.. ((IList<int>[])_coverage.Invoke(null, null)!).SelectMany(ids => ids).Distinct().Order()];
    }
}
