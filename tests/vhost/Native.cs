// The few calls of Linux that a vhost-user backend needs and .NET does not have.
using System.Runtime.InteropServices;

namespace VirtioSharp.Tests.Vhost;

/// <summary>Messages with file descriptors, shared memory, event counters.</summary>
internal static unsafe partial class Native
{
    internal const int ReadWrite = 3; // PROT_READ | PROT_WRITE
    internal const int Shared = 1; // MAP_SHARED
    internal const short PollIn = 1;
    internal const int CloseOnExec = 0x40000000; // MSG_CMSG_CLOEXEC
    internal const int NoSignal = 0x4000;
    internal const int DontWait = 0x40;
    internal const int Truncated = 8; // MSG_CTRUNC
    internal const int SocketLevel = 1;
    internal const int Rights = 1; // SCM_RIGHTS

    [StructLayout(LayoutKind.Sequential)]
    internal struct IoVector
    {
        internal void* Base;
        internal nuint Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct MessageHeader
    {
        internal void* Name;
        internal uint NameLength;
        internal IoVector* Vectors;
        internal nuint VectorCount;
        internal void* Control;
        internal nuint ControlLength;
        internal int Flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ControlHeader
    {
        internal nuint Length;
        internal int Level;
        internal int Type;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct PollEntry
    {
        internal int File;
        internal short Wanted;
        internal short Seen;
    }

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    internal static partial nint Receive(int file, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    internal static partial nint Send(int file, void* bytes, nuint count, int flags);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    internal static partial int Poll(PollEntry* entries, nuint count, int milliseconds);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    internal static partial byte* Map(void* address, nuint length, int protection, int flags, int file, long offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    internal static partial int Unmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    internal static partial nint Read(int file, void* bytes, nuint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    internal static partial nint Write(int file, void* bytes, nuint count);

    [LibraryImport("libc", EntryPoint = "close")]
    internal static partial int Close(int file);
}
