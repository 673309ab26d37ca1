// Small interfaces of System.
namespace System;

public interface IDisposable
{
    void Dispose();
}

public interface IEquatable<T>
{
    bool Equals(T? other);
}

public interface IComparable<in T>
{
    int CompareTo(T? other);
}
