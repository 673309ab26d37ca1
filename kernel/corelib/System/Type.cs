// Types as values: enough to compare them.
using System.Runtime.CompilerServices;
using Internal.Runtime;

namespace System;

public abstract unsafe class Type
{
    internal abstract MethodTable* Table { get; }

    [Intrinsic]
    public static Type GetTypeFromHandle(RuntimeTypeHandle handle) => GetTypeFromMethodTable((MethodTable*)handle.Value);

    internal static Type GetTypeFromMethodTable(MethodTable* table) => new RuntimeType(table);

    [Intrinsic]
    public static bool operator ==(Type? left, Type? right) =>
        left is null ? right is null : right is not null && left.Table == right.Table;

    [Intrinsic]
    public static bool operator !=(Type? left, Type? right) => !(left == right);

    public override bool Equals(object? obj) => obj is Type other && this == other;

    public override int GetHashCode() => (int)(nint)Table;
}

internal sealed unsafe class RuntimeType : Type
{
    private readonly MethodTable* _table;

    internal RuntimeType(MethodTable* table) => _table = table;

    internal override MethodTable* Table => _table;
}

public readonly struct RuntimeTypeHandle
{
    private readonly nint _value;
    internal RuntimeTypeHandle(nint value) => _value = value;
    internal nint Value => _value;
}

public readonly struct RuntimeMethodHandle
{
    private readonly nint _value;
}

public readonly struct RuntimeFieldHandle
{
    private readonly nint _value;
}
