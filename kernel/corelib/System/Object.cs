// The root of all classes, of all structs and of all enums.
using System.Runtime.CompilerServices;
using Internal.Runtime;

namespace System;

public unsafe class Object
{
    internal MethodTable* m_pEEType;

    public Object() { }
    ~Object() { }

    [Intrinsic]
    public Type GetType() => Type.GetTypeFromMethodTable(m_pEEType);
    public virtual string? ToString() => "";
    public virtual bool Equals(object? obj) => this == obj;
    public virtual int GetHashCode() => RuntimeHelpers.GetHashCode(this);
    public static bool ReferenceEquals(object? a, object? b) => a == b;
    public static bool Equals(object? a, object? b) => a == b || (a is not null && b is not null && a.Equals(b));
}

public abstract class ValueType
{
}

public abstract class Enum : ValueType
{
}

public class Attribute
{
}
