// A buffer that the device is done with (virtio 2.7.8, 2.8.6).
namespace VirtioSharp.Drivers.Virtio.Queue;

/// <summary>What was taken from a virtqueue: whose buffer it is, and how much the device wrote.</summary>
public readonly struct UsedBuffer
{
    private readonly int _token;

    internal UsedBuffer(int token, uint written)
    {
        _token = token;
        Written = written;
    }

    /// <summary>Nothing was taken.</summary>
    public static UsedBuffer None => new(-1, 0);

    /// <summary>True when nothing was taken.</summary>
    public bool IsNone => _token < 0;

    /// <summary>The token that the buffer was added with.</summary>
    public ushort Token => (ushort)_token;

    /// <summary>How many bytes were written, at most what was lent.</summary>
    public uint Written { get; }
}
