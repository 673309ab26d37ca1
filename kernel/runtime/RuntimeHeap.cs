// Where objects come from: a heap that only grows. There is no collector.
using System;
using System.Runtime.CompilerServices;

namespace Internal.Runtime;

/// <summary>
/// Objects are allocated at boot and at probe and live for ever; requests and state machines come from pools. What was allocated is
/// counted, so that "no allocation for each I/O" can be asserted.
/// </summary>
public static unsafe class RuntimeHeap
{
    private static byte* s_next;
    private static byte* s_end;
    private static ulong s_allocated;

    /// <summary>Bytes of objects allocated since boot.</summary>
    public static ulong BytesAllocated => s_allocated;

    /// <summary>Bytes that are left.</summary>
    public static ulong BytesFree => (ulong)(s_end - s_next);

    /// <summary>Gives the heap new memory, aligned to 16 bytes; what was left of the old is given up.</summary>
    public static void Initialize(void* start, ulong length)
    {
        s_next = (byte*)start;
        s_end = s_next + length;
    }

    /// <summary>Allocates zeroed memory; a heap that is used up ends the program.</summary>
    internal static byte* Allocate(ulong size)
    {
        size = size + 15 & ~15ul;
        if (size > (ulong)(s_end - s_next))
        {
            FatalError.Stop("the heap is used up; give the machine more memory (-m)");
        }
        byte* result = s_next;
        s_next += size;
        s_allocated += size;
        for (ulong i = 0; i < size; i += 8)
        {
            *(ulong*)(result + i) = 0;
        }
        return result;
    }

    internal static object NewObject(MethodTable* table)
    {
        byte* memory = Allocate(table->BaseSize);
        *(MethodTable**)memory = table;
        return Unsafe.As<nint, object>(ref *(nint*)&memory);
    }

    internal static object NewArray(MethodTable* table, nint length)
    {
        if ((nuint)length > int.MaxValue)
        {
            FatalError.Stop("an array length that is negative or too large");
        }
        byte* memory = Allocate(table->BaseSize + (ulong)length * table->ComponentSize);
        *(MethodTable**)memory = table;
        *(int*)(memory + 8) = (int)length;
        return Unsafe.As<nint, object>(ref *(nint*)&memory);
    }
}
