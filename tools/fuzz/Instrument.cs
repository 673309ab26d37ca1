// Rewrites an assembly so that it counts the edges between its basic blocks, as AFL does: map[here ^ there]++.
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Mono.Cecil;
using Mono.Cecil.Cil;
using Mono.Cecil.Rocks;

namespace VirtioSharp.Fuzz;

/// <summary>Puts a call at the beginning of every basic block. Exceptions need none: drivers have no handlers.</summary>
internal static class Instrument
{
    /// <summary>How many counters there are.</summary>
    public const int MapLength = 1 << 16;

    /// <summary>The type that is added, and its field with the counters.</summary>
    public const string TypeName = "VirtioSharp.Fuzz.EdgeMap";

    /// <summary>
    /// The rewritten assembly, and whose each of its blocks is. Counted are edges, or with <paramref name="byBlock"/> the blocks themselves, each at
    /// the place of its number.
    /// </summary>
    public static byte[] Rewrite(string path, bool byBlock, out IReadOnlyList<string> owners)
    {
        DefaultAssemblyResolver resolver = new();
        resolver.AddSearchDirectory(Path.GetDirectoryName(path));
        resolver.AddSearchDirectory(Path.GetDirectoryName(typeof(object).Assembly.Location));
        using AssemblyDefinition assembly = AssemblyDefinition.ReadAssembly(path, new ReaderParameters { AssemblyResolver = resolver });
        ModuleDefinition module = assembly.MainModule;
        TypeDefinition[] types = [.. module.GetTypes()];
        MethodDefinition hit = AddMap(module, byBlock);
        List<string> found = [];
        owners = found;
        Random random = new(1); // the same ids in each build of the same source
        foreach (MethodDefinition method in types.SelectMany(type => type.Methods).Where(method => method.HasBody))
        {
            int first = found.Count;
            int count = Mark(method, hit, at => byBlock ? first + at : random.Next(MapLength));
            string owner = (method.DeclaringType.DeclaringType ?? method.DeclaringType).FullName;
            found.AddRange(Enumerable.Repeat($"{owner[(owner.IndexOf(".Drivers.", System.StringComparison.Ordinal) + 9)..]} {method.Name}", count));
        }
        using MemoryStream stream = new();
        assembly.Write(stream);
        return stream.ToArray();
    }

    private static MethodDefinition AddMap(ModuleDefinition module, bool byBlock)
    {
        TypeReference number = module.TypeSystem.Int32;
        TypeDefinition type = new(
            "VirtioSharp.Fuzz", "EdgeMap", TypeAttributes.Public | TypeAttributes.Abstract | TypeAttributes.Sealed | TypeAttributes.BeforeFieldInit,
            module.TypeSystem.Object);
        FieldDefinition map = new("Map", FieldAttributes.Public | FieldAttributes.Static, new ArrayType(module.TypeSystem.Byte));
        FieldDefinition previous = new("Previous", FieldAttributes.Public | FieldAttributes.Static, number);
        type.Fields.Add(map);
        type.Fields.Add(previous);
        MethodDefinition hit = new("Hit", MethodAttributes.Public | MethodAttributes.Static, module.TypeSystem.Void);
        hit.Parameters.Add(new ParameterDefinition("block", ParameterAttributes.None, number));
        ILProcessor il = hit.Body.GetILProcessor();
        il.Emit(OpCodes.Ldsfld, map);
        il.Emit(OpCodes.Ldarg_0);
        if (!byBlock)
        {
            il.Emit(OpCodes.Ldsfld, previous);
            il.Emit(OpCodes.Xor);
        }
        il.Emit(OpCodes.Ldelema, module.TypeSystem.Byte);
        il.Emit(OpCodes.Dup);
        il.Emit(OpCodes.Ldind_U1);
        il.Emit(OpCodes.Ldc_I4_1);
        il.Emit(OpCodes.Add);
        il.Emit(OpCodes.Conv_U1);
        il.Emit(OpCodes.Stind_I1);
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldc_I4_1);
        il.Emit(OpCodes.Shr);
        il.Emit(OpCodes.Stsfld, previous);
        il.Emit(OpCodes.Ret);
        type.Methods.Add(hit);
        module.Types.Add(type);
        return hit;
    }

    private static int Mark(MethodDefinition method, MethodReference hit, Func<int, int> numberOf)
    {
        MethodBody body = method.Body;
        body.SimplifyMacros();
        HashSet<Instruction> leaders = [body.Instructions[0]];
        foreach (Instruction instruction in body.Instructions)
        {
            switch (instruction.Operand)
            {
                case Instruction target:
                    leaders.Add(target);
                    break;
                case Instruction[] targets:
                    leaders.UnionWith(targets);
                    break;
            }
            if (instruction.OpCode.FlowControl == FlowControl.Cond_Branch && instruction.Next is not null)
            {
                leaders.Add(instruction.Next);
            }
        }
        Dictionary<Instruction, Instruction> moved = [];
        ILProcessor il = body.GetILProcessor();
        foreach (Instruction leader in leaders)
        {
            Instruction mark = il.Create(OpCodes.Ldc_I4, numberOf(moved.Count));
            il.InsertBefore(leader, mark);
            il.InsertBefore(leader, il.Create(OpCodes.Call, hit));
            moved.Add(leader, mark);
        }
        foreach (Instruction instruction in body.Instructions)
        {
            instruction.Operand = instruction.Operand switch
            {
                Instruction target when moved.TryGetValue(target, out Instruction? mark) => mark,
                Instruction[] targets => targets.Select(target => moved[target]).ToArray(),
                object other => other,
                null => null,
            };
        }
        foreach (ExceptionHandler handler in body.ExceptionHandlers)
        {
            handler.TryStart = Moved(handler.TryStart);
            handler.TryEnd = Moved(handler.TryEnd);
            handler.HandlerStart = Moved(handler.HandlerStart);
            handler.HandlerEnd = Moved(handler.HandlerEnd);
        }
        body.OptimizeMacros();
        return leaders.Count;

        Instruction? Moved(Instruction? at) => at is not null && moved.TryGetValue(at, out Instruction? mark) ? mark : at;
    }
}
