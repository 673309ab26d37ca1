// The type descriptor that the compiler emits, as far as we read it.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Internal.Runtime;

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct MethodTable
{
    private const uint ElementTypeMask = 0x7C000000;
    private const int ElementTypeShift = 26;
    private const uint ElementTypeValueTypeLast = 0x12;
    private const uint ElementTypeNullable = 0x12;
    private const uint ElementTypeInterface = 0x15;
    private const uint ElementTypeArray = 0x17;
    private const uint ElementTypeSzArray = 0x18;

    [Intrinsic]
    internal static extern MethodTable* Of<T>();

    private uint _flags;
    private uint _baseSize;
    private MethodTable* _relatedType;
    private ushort _vtableSlotCount;
    private ushort _interfaceCount;
    private uint _hashCode;

    private readonly uint ElementType => (_flags & ElementTypeMask) >> ElementTypeShift;

    /// <summary>The size of one element of an array or string, in the lower half of the flags.</summary>
    internal readonly ushort ComponentSize => (int)_flags < 0 ? (ushort)_flags : (ushort)0;

    /// <summary>The size of an object without elements, header included.</summary>
    internal readonly uint BaseSize => _baseSize;

    /// <summary>The base class, or null.</summary>
    internal readonly MethodTable* BaseType => _relatedType;

    /// <summary>The element type of an array.</summary>
    internal readonly MethodTable* RelatedType => _relatedType;

    internal readonly bool IsArray => ElementType is ElementTypeArray or ElementTypeSzArray;

    internal readonly bool IsInterface => ElementType == ElementTypeInterface;

    internal readonly bool IsNullable => ElementType == ElementTypeNullable;

    internal readonly bool IsValueType => ElementType <= ElementTypeValueTypeLast;

    internal readonly int InterfaceCount => _interfaceCount;

    internal MethodTable* Interface(int index)
    {
        fixed (MethodTable* self = &this)
        {
            MethodTable** slots = (MethodTable**)(self + 1);
            return slots[_vtableSlotCount + index];
        }
    }

    /// <summary>The size of the data of a boxed value of this type: the base size less header and type pointer, and padding.</summary>
    internal readonly uint BoxedDataSize => _baseSize - 16;
}
