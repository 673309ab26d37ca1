// Delegates: one target each, called through the layout the compiler assumes.
using System.Runtime.CompilerServices;

namespace System;

public abstract class Delegate
{
    internal object? _firstParameter;
    internal object? _helperObject;
    internal nint _extraFunctionPointerOrData;
    internal nint _functionPointer;

    // The compiler calls one of these from the constructor of each delegate type.
    private void InitializeClosedStaticThunk(object firstParameter, nint functionPointer, nint functionPointerThunk)
    {
        _extraFunctionPointerOrData = functionPointer;
        _helperObject = firstParameter;
        _functionPointer = functionPointerThunk;
        _firstParameter = this;
    }

    private void InitializeOpenStaticThunk(object firstParameter, nint functionPointer, nint functionPointerThunk)
    {
        _firstParameter = this;
        _functionPointer = functionPointerThunk;
        _extraFunctionPointerOrData = functionPointer;
    }

    private void InitializeClosedInstance(object firstParameter, nint functionPointer)
    {
        _functionPointer = functionPointer;
        _firstParameter = firstParameter;
    }

    private void InitializeClosedInstanceSlow(object firstParameter, nint functionPointer)
    {
        _functionPointer = functionPointer;
        _firstParameter = firstParameter;
    }

    private void InitializeClosedInstanceToInterface(object firstParameter, nint dispatchCell) =>
        Environment.FailFast("a delegate to an interface method");

    private void InitializeClosedInstanceWithGVMResolution(object firstParameter, nint token) =>
        Environment.FailFast("a delegate to a generic virtual method");

    private nint GetActualTargetFunctionPointer(object? thunk) => _functionPointer;

    private protected virtual nint GetThunk(int index) => 0;
}

public abstract class MulticastDelegate : Delegate
{
}

public delegate void Action();
public delegate void Action<in T>(T obj);
public delegate void Action<in T1, in T2>(T1 arg1, T2 arg2);
public delegate TResult Func<out TResult>();
public delegate TResult Func<in T, out TResult>(T arg);
public delegate TResult Func<in T1, in T2, out TResult>(T1 arg1, T2 arg2);
