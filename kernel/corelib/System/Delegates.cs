// Delegates: one target each, called through the layout the compiler assumes.
using System.Runtime.CompilerServices;

namespace System;

public abstract class Delegate
{
    internal object? m_firstParameter;
    internal object? m_helperObject;
    internal nint m_extraFunctionPointerOrData;
    internal nint m_functionPointer;

    // The compiler calls one of these from the constructor of each delegate type.
    private void InitializeClosedStaticThunk(object firstParameter, nint functionPointer, nint functionPointerThunk)
    {
        m_extraFunctionPointerOrData = functionPointer;
        m_helperObject = firstParameter;
        m_functionPointer = functionPointerThunk;
        m_firstParameter = this;
    }

    private void InitializeOpenStaticThunk(object firstParameter, nint functionPointer, nint functionPointerThunk)
    {
        m_firstParameter = this;
        m_functionPointer = functionPointerThunk;
        m_extraFunctionPointerOrData = functionPointer;
    }

    private void InitializeClosedInstance(object firstParameter, nint functionPointer)
    {
        m_functionPointer = functionPointer;
        m_firstParameter = firstParameter;
    }

    private void InitializeClosedInstanceSlow(object firstParameter, nint functionPointer)
    {
        m_functionPointer = functionPointer;
        m_firstParameter = firstParameter;
    }

    private void InitializeClosedInstanceToInterface(object firstParameter, nint dispatchCell) =>
        Environment.FailFast("a delegate to an interface method");

    private void InitializeClosedInstanceWithGVMResolution(object firstParameter, nint token) =>
        Environment.FailFast("a delegate to a generic virtual method");

    private nint GetActualTargetFunctionPointer(object? thunk) => m_functionPointer;

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
