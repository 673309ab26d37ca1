// The heap, which nobody collects: nothing ever moves.
namespace System;

public static class GC
{
    public static T[] AllocateArray<T>(int length, bool pinned = false) => new T[length];
}
