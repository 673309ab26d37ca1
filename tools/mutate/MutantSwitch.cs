// Stryker's switch between mutants, which it puts into the assembly that it mutates.
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.Loader;
using Mono.Cecil;
using Mono.Cecil.Cil;

namespace VirtioSharp.Mutate;

/// <summary>
/// Sets which mutant is active, and asks which ones a test reached. Stryker's own way to ask searches a list under a lock for each mutant that is
/// passed, which takes minutes where a test takes seconds; so its method is written anew.
/// </summary>
internal sealed class MutantSwitch
{
    private const string ControlName = "MutantControl";
    private const string ReachedName = "Reached";

    private readonly FieldInfo _active;
    private readonly FieldInfo _reachedField;
    private readonly byte[] _reached = new byte[1 << 16];

    /// <summary>Loads a mutated assembly.</summary>
    public MutantSwitch(string path)
    {
        Assembly assembly = AssemblyLoadContext.Default.LoadFromStream(new MemoryStream(Rewrite(path)));
        Type control = assembly.GetTypes().Single(type => type.Name == ControlName);
        _active = control.GetField("ActiveMutant")!;
        _reachedField = control.GetField(ReachedName)!;
        Activate(-1);
    }

    /// <summary>-1 for none.</summary>
    public void Activate(int id) => _active.SetValue(null, id);

    /// <summary>From here on it is noted which mutants are reached.</summary>
    public void BeginCoverage()
    {
        Array.Clear(_reached);
        _reachedField.SetValue(null, _reached);
    }

    /// <summary>Those that were.</summary>
    public int[] EndCoverage()
    {
        _reachedField.SetValue(null, null);
        return [.. Enumerable.Range(0, _reached.Length).Where(id => _reached[id] != 0)];
    }

    private static byte[] Rewrite(string path)
    {
        DefaultAssemblyResolver resolver = new();
        resolver.AddSearchDirectory(Path.GetDirectoryName(path));
        resolver.AddSearchDirectory(Path.GetDirectoryName(typeof(object).Assembly.Location));
        using AssemblyDefinition assembly = AssemblyDefinition.ReadAssembly(path, new ReaderParameters { AssemblyResolver = resolver });
        ModuleDefinition module = assembly.MainModule;
        TypeDefinition control = module.GetTypes().Single(type => type.Name == ControlName);
        FieldDefinition active = control.Fields.Single(field => field.Name == "ActiveMutant");
        FieldDefinition reached = new(
            ReachedName, Mono.Cecil.FieldAttributes.Public | Mono.Cecil.FieldAttributes.Static, new ArrayType(module.TypeSystem.Byte));
        control.Fields.Add(reached);
        MethodDefinition isActive = control.Methods.Single(method => method.Name == "IsActive");
        isActive.Body = new Mono.Cecil.Cil.MethodBody(isActive);
        ILProcessor il = isActive.Body.GetILProcessor();
        // if (Reached != null) Reached[id] = 1; return id == ActiveMutant;
        Instruction answer = il.Create(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldsfld, reached);
        il.Emit(OpCodes.Brfalse, answer);
        il.Emit(OpCodes.Ldsfld, reached);
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldc_I4_1);
        il.Emit(OpCodes.Stelem_I1);
        il.Append(answer);
        il.Emit(OpCodes.Ldsfld, active);
        il.Emit(OpCodes.Ceq);
        il.Emit(OpCodes.Ret);
        using MemoryStream stream = new();
        assembly.Write(stream);
        return stream.ToArray();
    }
}
