// The casts and type checks that the compiler calls.
using System.Runtime.CompilerServices;
using Internal.Runtime;

namespace System.Runtime;

internal static unsafe class TypeCast
{
    private static bool IsClassOf(MethodTable* table, MethodTable* target)
    {
        while (table is not null)
        {
            if (table == target)
            {
                return true;
            }
            table = table->IsArray ? null : table->BaseType;
        }
        return false;
    }

    private static bool Implements(MethodTable* table, MethodTable* target)
    {
        for (int i = 0; i < table->InterfaceCount; i++)
        {
            if (table->Interface(i) == target)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>May a reference of one type be stored where the other is asked for?</summary>
    internal static bool IsAssignable(MethodTable* table, MethodTable* target)
    {
        if (table == target)
        {
            return true;
        }
        if (target->IsInterface)
        {
            return Implements(table, target);
        }
        if (target->IsArray)
        {
            return table->IsArray && AreArrayElementsCompatible(table->RelatedType, target->RelatedType);
        }
        if (table->IsArray)
        {
            return target == MethodTable.Of<object>() || target == MethodTable.Of<Array>();
        }
        return IsClassOf(table, target);
    }

    private static bool AreArrayElementsCompatible(MethodTable* element, MethodTable* target)
    {
        if (element == target)
        {
            return true;
        }
        return !element->IsValueType && !target->IsValueType && IsAssignable(element, target);
    }

    public static object? IsInstanceOfAny(MethodTable* target, object? value) =>
        value is not null && IsAssignable(value.m_pEEType, target) ? value : null;

    public static object? IsInstanceOfInterface(MethodTable* target, object? value) => IsInstanceOfAny(target, value);

    public static object? IsInstanceOfClass(MethodTable* target, object? value) => IsInstanceOfAny(target, value);

    public static bool IsInstanceOfException(MethodTable* target, object? value) => value is not null && IsAssignable(value.m_pEEType, target);

    public static object? CheckCastAny(MethodTable* target, object? value)
    {
        if (value is not null && !IsAssignable(value.m_pEEType, target))
        {
            FatalError.Stop("an object was cast to a type that it does not have");
        }
        return value;
    }

    public static object? CheckCastInterface(MethodTable* target, object? value) => CheckCastAny(target, value);

    public static object? CheckCastClass(MethodTable* target, object? value) => CheckCastAny(target, value);

    public static object? CheckCastClassSpecial(MethodTable* target, object? value) => CheckCastAny(target, value);

    public static object? CheckCastArray(MethodTable* target, object? value) => CheckCastAny(target, value);

    public static object? IsInstanceOfArray(MethodTable* target, object? value) => IsInstanceOfAny(target, value);

    internal struct ArrayElement
    {
        public object? Value;
    }

    public static void StelemRef(object?[] array, nint index, object? value)
    {
        if ((nuint)index >= (nuint)array.Length)
        {
            Internal.Runtime.CompilerHelpers.ThrowHelpers.ThrowIndexOutOfRangeException();
        }
        MethodTable* element = array.m_pEEType->RelatedType;
        if (value is not null && !IsAssignable(value.m_pEEType, element))
        {
            FatalError.Stop("an element was stored in an array of another type");
        }
        Unsafe.Add(ref Unsafe.As<byte, object?>(ref Unsafe.As<RawArrayData>(array).Data), index) = value;
    }

    public static ref object? LdelemaRef(object?[] array, nint index, MethodTable* elementType)
    {
        if ((nuint)index >= (nuint)array.Length)
        {
            Internal.Runtime.CompilerHelpers.ThrowHelpers.ThrowIndexOutOfRangeException();
        }
        if (array.m_pEEType->RelatedType != elementType)
        {
            FatalError.Stop("a reference to an array element of another type");
        }
        return ref Unsafe.Add(ref Unsafe.As<byte, object?>(ref Unsafe.As<RawArrayData>(array).Data), index);
    }
}
