// The symbols that compiled code calls for objects: allocation, boxing, reference stores.
using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Internal.Runtime;

namespace System.Runtime;

internal static unsafe class RuntimeExports
{
    [RuntimeExport("RhpNewFast")]
    private static object NewFast(MethodTable* table) => RuntimeHeap.NewObject(table);

    [RuntimeExport("RhpNewFinalizable")]
    private static object NewFinalizable(MethodTable* table) => RuntimeHeap.NewObject(table);

    [RuntimeExport("RhpNewArrayFast")]
    private static object NewArrayFast(MethodTable* table, nint length) => RuntimeHeap.NewArray(table, length);

    [RuntimeExport("RhpNewPtrArrayFast")]
    private static object NewPtrArrayFast(MethodTable* table, nint length) => RuntimeHeap.NewArray(table, length);

    [RuntimeExport("RhNewString")]
    private static object NewString(MethodTable* table, nint length) => RuntimeHeap.NewArray(table, length);

    [RuntimeExport("RhpThrowEx")]
    private static void Throw(object exception) => FatalError.Stop(exception is Exception e && e.Message.Length > 0 ? e.Message : "an exception was thrown");

    [RuntimeExport("RhpRethrow")]
    private static void Rethrow() => FatalError.Stop("an exception was thrown");

    [RuntimeExport("RhpReversePInvoke")]
    private static void ReversePInvoke(nint frame)
    {
    }

    [RuntimeExport("RhpReversePInvokeReturn")]
    private static void ReversePInvokeReturn(nint frame)
    {
    }

    [RuntimeExport("RhpFallbackFailFast")]
    private static void FallbackFailFast() => FatalError.Stop("the runtime failed");

    public static object RhBox(MethodTable* table, ref byte data)
    {
        if (table->IsNullable)
        {
            FatalError.Stop("a nullable value was boxed, which this runtime does not do");
        }
        object result = RuntimeHeap.NewObject(table);
        Copy(ref Unsafe.As<BoxedData>(result).First, ref data, table->BoxedDataSize);
        return result;
    }

    public static ref byte RhUnbox2(MethodTable* table, object value)
    {
        if (value.m_pEEType != table)
        {
            FatalError.Stop("a boxed value was unboxed as another type");
        }
        return ref Unsafe.As<BoxedData>(value).First;
    }

    public static void RhUnboxNullable(ref byte data, MethodTable* table, object? value)
    {
        FatalError.Stop("a nullable value was unboxed, which this runtime does not do");
    }

    private static void Copy(ref byte destination, ref byte source, uint length)
    {
        for (uint i = 0; i < length; i++)
        {
            Unsafe.Add(ref destination, (nint)i) = Unsafe.Add(ref source, (nint)i);
        }
    }

    private sealed class BoxedData
    {
        public byte First;
    }
}
