// What corelib asks of the runtime beside it.
namespace Internal.Runtime;

internal static unsafe class RuntimeImports
{
    internal static object NewString(MethodTable* table, int length) => RuntimeHeap.NewArray(table, length);
}
