// Takes virtio consoles into service (virtio 5.3.5).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Console;

/// <summary>The driver for device type 3: one port, without MULTIPORT.</summary>
public sealed class VirtioConsoleDriver : VirtioDriver
{
    private const ushort MaxQueueSize = 64;

    private int _count;

    /// <inheritdoc/>
    public override ushort DeviceType => Virtio.DeviceType.Console;

    /// <inheritdoc/>
    public override string Name => "virtio-console";

    /// <inheritdoc/>
    public override string NameOfFeature(int bit) => VirtioConsoleFormat.NameOf(bit);

    /// <inheritdoc/>
    public override ProbeResult Probe(VirtioTransport transport, out Device? device)
    {
        device = null;
        VirtioDevice virtio = new(transport, this);
        ProbeResult result = virtio.Negotiate(0, VirtioFeature.Supported | VirtioConsoleFormat.Size);
        if (!result.IsBound)
        {
            return result;
        }
        virtio.PrepareInterrupts(2);
        result = virtio.CreateQueue(VirtioConsoleFormat.ReceiveQueue, MaxQueueSize, out Virtqueue? receive);
        if (!result.IsBound)
        {
            return result;
        }
        result = virtio.CreateQueue(VirtioConsoleFormat.TransmitQueue, MaxQueueSize, out Virtqueue? transmit);
        if (!result.IsBound)
        {
            return result;
        }
        if (!VirtioConsole.TryCreate(virtio, receive!, transmit!, out VirtioConsole? console))
        {
            return virtio.Fail("there is no memory for the console's buffers", 0);
        }
        console!.Name = "console" + (_count++).ToString();
        virtio.Start();
        console.BeginReceiving();
        device = console;
        return ProbeResult.Bound;
    }
}
