// Exceptions exist so that sources compile and a panic can name them: nothing here is ever caught.
namespace System;

public class Exception
{
    private readonly string? _message;
    public Exception() { }
    public Exception(string? message) => _message = message;
    public virtual string Message => _message ?? "";
}

public class SystemException : Exception
{
    public SystemException() { }
    public SystemException(string? message) : base(message) { }
}

public class ArgumentException : SystemException
{
    public ArgumentException() { }
    public ArgumentException(string? message) : base(message) { }
}

public class ArgumentOutOfRangeException : ArgumentException
{
    public ArgumentOutOfRangeException() { }
    public ArgumentOutOfRangeException(string? paramName) : base(paramName) { }
}

public class InvalidOperationException : SystemException
{
    public InvalidOperationException() { }
    public InvalidOperationException(string? message) : base(message) { }
}

public class NotSupportedException : SystemException
{
    public NotSupportedException() { }
    public NotSupportedException(string? message) : base(message) { }
}
