// A test of xunit as a method to call: facts, and theories with their data.
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Threading.Tasks;

namespace VirtioSharp.Mutate;

/// <summary>One fact, or one row of a theory.</summary>
internal sealed class TestCase(Type type, MethodInfo method, object?[] arguments, string name)
{
    // What says nothing about a mutant: tests that read sources, race threads, or need QEMU.
    private static readonly string[] LeftOut = [".Architecture.", ".RacingTests", ".Corelib.", ".Kernel.Apps.", ".PackTests"];

    /// <summary>For people.</summary>
    public string Name => name;

    /// <summary>All tests of an assembly that need no QEMU.</summary>
    public static List<TestCase> Find(Assembly assembly)
    {
        List<TestCase> cases = [];
        foreach (Type type in assembly.GetExportedTypes().Where(type => !type.IsAbstract && !LeftOut.Any(part => type.FullName!.Contains(part))))
        {
            if (NeedsQemu(type))
            {
                continue;
            }
            foreach (MethodInfo method in type.GetMethods().Where(method => !NeedsQemu(method)))
            {
                object? fact = method.GetCustomAttributes().FirstOrDefault(each => Is(each, "Xunit.FactAttribute"));
                if (fact is null || fact.GetType().GetProperty("Skip")!.GetValue(fact) is not null)
                {
                    continue;
                }
                string name = $"{type.Name}.{method.Name}";
                object[] data = [.. method.GetCustomAttributes().Where(each => Is(each, "Xunit.Sdk.DataAttribute"))];
                if (data.Length == 0)
                {
                    cases.Add(new TestCase(type, method, [], name));
                    continue;
                }
                foreach (object source in data)
                {
                    var rows = (IEnumerable<object?[]>)source.GetType().GetMethod("GetData")!.Invoke(source, [method])!;
                    cases.AddRange(rows.Select(row => new TestCase(type, method, Convert(method, row), NameOf(name, row))));
                }
            }
        }
        return cases;
    }

    /// <summary>Runs it; the answer is what went wrong.</summary>
    public Exception? Run()
    {
        object? instance = null;
        Exception? wrong = null;
        try
        {
            ConstructorInfo constructor = type.GetConstructors()[0];
            instance = constructor.Invoke([.. constructor.GetParameters().Select(parameter => Output.For(parameter.ParameterType))]);
            if (method.Invoke(instance, arguments) is Task task)
            {
                task.Wait();
            }
        }
        catch (Exception thrown)
        {
            wrong = (thrown as TargetInvocationException)?.InnerException ?? thrown;
        }
        try
        {
            (instance as IDisposable)?.Dispose();
        }
        catch (Exception thrown)
        {
            wrong ??= thrown;
        }
        return wrong;
    }

    private static bool Is(object attribute, string name)
    {
        for (Type? type = attribute.GetType(); type is not null; type = type.BaseType)
        {
            if (type.FullName == name)
            {
                return true;
            }
        }
        return false;
    }

    private static bool NeedsQemu(MemberInfo member) =>
        member.CustomAttributes.Any(each => each.AttributeType.Name == "TraitAttribute" && each.ConstructorArguments[0].Value is "Needs");

    /// <summary>One line without tabs: it stands in tables.</summary>
    private static string NameOf(string name, object?[] row) => $"{name}({string.Join(", ", row)})".ReplaceLineEndings(" ").Replace('\t', ' ');

    private static object?[] Convert(MethodInfo method, object?[] row)
    {
        ParameterInfo[] parameters = method.GetParameters();
        if (parameters.LastOrDefault() is ParameterInfo last && last.IsDefined(typeof(ParamArrayAttribute)) &&
            !(row.Length == parameters.Length && last.ParameterType.IsInstanceOfType(row[^1])))
        {
            int count = Math.Max(0, row.Length - parameters.Length + 1);
            Array rest = Array.CreateInstance(last.ParameterType.GetElementType()!, count);
            Array.Copy(row, row.Length - count, rest, 0, count);
            row = [.. row[..^count], rest];
        }
        return
        [
            .. parameters.Select((parameter, i) =>
            {
                object? value = i < row.Length ? row[i] : parameter.DefaultValue;
                return value is IConvertible && !parameter.ParameterType.IsInstanceOfType(value) && parameter.ParameterType.IsPrimitive
                    ? System.Convert.ChangeType(value, parameter.ParameterType)
                    : value;
            }),
        ];
    }

    /// <summary>An ITestOutputHelper that says nothing.</summary>
    private class Output : DispatchProxy
    {
        public static object For(Type type) =>
            typeof(DispatchProxy).GetMethods().First(each => each.Name == "Create" && each.GetGenericArguments().Length == 2)
                .MakeGenericMethod(type, typeof(Output)).Invoke(null, null)!;

        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => null;
    }
}
