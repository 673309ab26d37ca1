// A value that may be missing.
using System.Runtime.CompilerServices;

namespace System;

public struct Nullable<T> where T : struct
{
    private readonly bool hasValue;
    internal T value;

    public Nullable(T value)
    {
        this.value = value;
        hasValue = true;
    }

    public readonly bool HasValue => hasValue;

    public readonly T Value
    {
        get
        {
            if (!hasValue)
            {
                Environment.FailFast("the Value of a Nullable that has none");
            }
            return value;
        }
    }

    public readonly T GetValueOrDefault() => value;

    public readonly T GetValueOrDefault(T defaultValue) => hasValue ? value : defaultValue;

    public static implicit operator Nullable<T>(T value) => new Nullable<T>(value);

    public static explicit operator T(T? value) => value!.Value;
}
