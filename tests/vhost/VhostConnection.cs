// One connection of the vhost-user protocol: messages with file descriptors over a Unix socket.
using System.IO;
using System.Runtime.InteropServices;

namespace VirtioSharp.Tests.Vhost;

/// <summary>The requests that QEMU makes.</summary>
internal enum VhostRequestCode : uint
{
    GetFeatures = 1,
    SetFeatures = 2,
    SetOwner = 3,
    ResetOwner = 4,
    SetMemoryTable = 5,
    SetRingSize = 8, // VHOST_USER_SET_VRING_NUM
    SetRingAddresses = 9,
    SetRingBase = 10,
    GetRingBase = 11,
    SetRingKick = 12,
    SetRingCall = 13,
    SetRingError = 14,
    GetProtocolFeatures = 15,
    SetProtocolFeatures = 16,
    GetQueueCount = 17,
    SetRingEnable = 18,
    SetBackendRequests = 21, // VHOST_USER_SET_SLAVE_REQ_FD
    GetConfig = 24,
    SetConfig = 25,
}

/// <summary>A message: its code, its flags, its content, and the files that came with it.</summary>
internal readonly record struct VhostMessage(VhostRequestCode Code, uint Flags, byte[] Body, int[] Files)
{
    private const uint NeedsReply = 8;

    /// <summary>True when QEMU waits for an answer that would not come otherwise.</summary>
    internal bool WantsAcknowledgement => (Flags & NeedsReply) != 0;

    /// <summary>The file that came with the message, or -1.</summary>
    internal int File => Files.Length != 0 ? Files[0] : -1;
}

/// <summary>Reads whole messages and writes answers; the other end may leave at any time.</summary>
internal sealed unsafe class VhostConnection(int file)
{
    private const int HeaderLength = 12;
    private const int MaxBody = 4096;
    private const int MaxFiles = 8;
    private const uint Version = 1;
    private const uint Reply = 4;
    private const uint ConfigChanged = 2; // VHOST_USER_SLAVE_CONFIG_CHANGE_MSG

    /// <summary>Reads a message; null when the other end has left.</summary>
    internal VhostMessage? Receive()
    {
        uint* header = stackalloc uint[3];
        byte* control = stackalloc byte[sizeof(Native.ControlHeader) + MaxFiles * 4];
        Native.IoVector vector = new() { Base = header, Length = HeaderLength };
        Native.MessageHeader message = new()
        {
            Vectors = &vector,
            VectorCount = 1,
            Control = control,
            ControlLength = (nuint)(sizeof(Native.ControlHeader) + MaxFiles * 4),
        };
        nint count = Native.Receive(file, &message, Native.CloseOnExec);
        if (count <= 0)
        {
            return null;
        }
        int[] files = FilesOf(message);
        if (!Fill((byte*)header + count, HeaderLength - (int)count) || header[2] > MaxBody)
        {
            return null;
        }
        byte[] body = new byte[header[2]];
        fixed (byte* bytes = body)
        {
            if (!Fill(bytes, body.Length))
            {
                return null;
            }
        }
        return new VhostMessage((VhostRequestCode)header[0], header[1], body, files);
    }

    /// <summary>Answers a message.</summary>
    internal void Answer(VhostRequestCode code, ReadOnlySpan<byte> body) => Send((uint)code, Version | Reply, body);

    /// <summary>Over the second connection, on which the backend asks: the configuration is another one.</summary>
    internal void TellOfConfig() => Send(ConfigChanged, Version, default);

    private void Send(uint code, uint flags, ReadOnlySpan<byte> body)
    {
        byte[] bytes = new byte[HeaderLength + body.Length];
        MemoryMarshal.Write(bytes, code);
        MemoryMarshal.Write(bytes.AsSpan(4), flags);
        MemoryMarshal.Write(bytes.AsSpan(8), (uint)body.Length);
        body.CopyTo(bytes.AsSpan(HeaderLength));
        fixed (byte* start = bytes)
        {
            // An answer that nobody takes is not missed: the next read says that the other end has left.
            Native.Send(file, start, (nuint)bytes.Length, Native.NoSignal);
        }
    }

    private bool Fill(byte* target, int count)
    {
        while (count > 0)
        {
            nint read = Native.Read(file, target, (nuint)count);
            if (read <= 0)
            {
                return false;
            }
            target += read;
            count -= (int)read;
        }
        return true;
    }

    private static int[] FilesOf(in Native.MessageHeader message)
    {
        if ((message.Flags & Native.Truncated) != 0)
        {
            throw new IOException("a message came with more files than any has");
        }
        Native.ControlHeader* control = (Native.ControlHeader*)message.Control;
        if (message.ControlLength < (nuint)sizeof(Native.ControlHeader) || control->Level != Native.SocketLevel || control->Type != Native.Rights)
        {
            return [];
        }
        int count = ((int)control->Length - sizeof(Native.ControlHeader)) / 4;
        return new ReadOnlySpan<int>(control + 1, count).ToArray();
    }
}
