// The way out of a program that can't go on.
using System.Diagnostics.CodeAnalysis;

namespace System;

public static class Environment
{
    [DoesNotReturn]
    public static void FailFast(string? message) => Internal.Runtime.FatalError.Stop(message ?? "");
}
