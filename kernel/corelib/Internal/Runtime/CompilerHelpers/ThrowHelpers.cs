// Checks that the compiler puts into code and that failed: each ends in a panic that says which.
using System;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Internal.Runtime.CompilerHelpers;

internal static class ThrowHelpers
{
    // These two are also called by the corelib: one block that ends with a throw (see FatalError.Stop) is not copied into each caller.
    [DoesNotReturn]
    public static void ThrowIndexOutOfRangeException()
    {
        FatalError.End("an index was outside the bounds of its array or span");
        throw null!;
    }

    [DoesNotReturn]
    public static void ThrowArgumentOutOfRangeException()
    {
        FatalError.End("a start or length outside its span or array");
        throw null!;
    }

    [DoesNotReturn] public static void ThrowOverflowException() => FatalError.Stop("an arithmetic operation overflowed");
    [DoesNotReturn] public static void ThrowNullReferenceException() => FatalError.Stop("a null reference was used");
    [DoesNotReturn] public static void ThrowDivideByZeroException() => FatalError.Stop("a number was divided by zero");
    [DoesNotReturn] public static void ThrowArrayTypeMismatchException() => FatalError.Stop("an array of another type");
    [DoesNotReturn] public static void ThrowPlatformNotSupportedException() => FatalError.Stop("something this platform does not have");
    [DoesNotReturn] public static void ThrowNotImplementedException() => FatalError.Stop("something that is not implemented");
    [DoesNotReturn] public static void ThrowNotSupportedException() => FatalError.Stop("something that is not supported");
    [DoesNotReturn] public static void ThrowBadImageFormatException(int id) => FatalError.Stop("code that could not be compiled");
    [DoesNotReturn] public static void ThrowTypeLoadException(int id, string className, string typeName) => FatalError.Stop("a type that could not be loaded");
    [DoesNotReturn]
    public static void ThrowTypeLoadExceptionWithArgument(int id, string className, string typeName, string argument) =>
        FatalError.Stop("a type that could not be loaded");
    [DoesNotReturn] public static void ThrowMissingMethodException(int id, string methodName) => FatalError.Stop("a method that does not exist");
    [DoesNotReturn] public static void ThrowMissingFieldException(int id, string fieldName) => FatalError.Stop("a field that does not exist");
    [DoesNotReturn] public static void ThrowFileNotFoundException(int id, string fileName) => FatalError.Stop("an assembly that does not exist");
    [DoesNotReturn] public static void ThrowInvalidProgramException(int id) => FatalError.Stop("a method that could not be compiled");
    [DoesNotReturn] public static void ThrowInvalidProgramExceptionWithArgument(int id, string methodName) => FatalError.Stop("a method that could not be compiled");
    [DoesNotReturn] public static void ThrowMarshalDirectiveException(int id) => FatalError.Stop("a native call that could not be compiled");
    [DoesNotReturn] public static void ThrowAmbiguousMatchException(int id) => FatalError.Stop("an ambiguous match");
    [DoesNotReturn] public static void ThrowArgumentException() => FatalError.Stop("an argument that is not allowed");
    [DoesNotReturn] public static void ThrowFeatureBodyRemoved() => FatalError.Stop("a feature that was left out of this program");
    [DoesNotReturn] public static void ThrowInstanceBodyRemoved() => FatalError.Stop("a method of a type that is never made");
    [DoesNotReturn] public static void ThrowUnavailableType() => FatalError.Stop("a type that was left out of this program");
    [DoesNotReturn] public static void ThrowBodyRemoved() => FatalError.Stop("a method that was left out of this program");
}
