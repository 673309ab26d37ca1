// Takes virtio consoles into service (virtio 5.3.5).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Console;

/// <summary>The driver for device type 3: one port, or with MULTIPORT as many as the device announces.</summary>
public sealed class VirtioConsoleDriver : VirtioDriver
{
    private const ulong Supported = VirtioFeature.Supported | VirtioConsoleFormat.Size | VirtioConsoleFormat.Multiport | VirtioConsoleFormat.EmergencyWrite;
    private const ushort MaxQueueSize = 64;

    // Ports that are not there cost a ring each; 8 buffers are in use of each at most.
    private const ushort MaxPortQueueSize = 16;

    private int _count;

    /// <summary>
    /// The most ports of a device, at least 1: the queues of all of them have to be set up before the first is announced.
    /// </summary>
    public int MaxPorts { get; set; } = 32;

    /// <inheritdoc/>
    public override ushort DeviceType => Virtio.DeviceType.Console;

    /// <inheritdoc/>
    public override string Name => "virtio-console";

    /// <inheritdoc/>
    public override string NameOfFeature(int bit) => VirtioConsoleFormat.NameOf(bit);

    /// <inheritdoc/>
    public override string Clause => "5.3";

    /// <inheritdoc/>
    public override string NameOfField(uint offset) => VirtioConsoleWords.FieldAt(offset);

    /// <inheritdoc/>
    public override string NameOfRequest(ushort queue, ReadOnlySpan<byte> first, out ulong about) =>
        VirtioConsoleWords.MessageOf(queue == VirtioConsoleFormat.ControlTransmitQueue ? first : default, out about);

    /// <inheritdoc/>
    public override string NameOfAnswer(ushort queue, ReadOnlySpan<byte> last, out ulong about) =>
        VirtioConsoleWords.MessageOf(queue == VirtioConsoleFormat.ControlReceiveQueue ? last : default, out about);

    /// <inheritdoc/>
    public override ProbeResult Probe(VirtioTransport transport, out Device? device)
    {
        device = null;
        VirtioDevice virtio = new(transport, this);
        ProbeResult result = virtio.Negotiate(0, Supported);
        if (!result.IsBound)
        {
            return result;
        }
        bool isMultiport = virtio.Has(VirtioConsoleFormat.Multiport);
        int ports = isMultiport ? CountPorts(virtio) : 1;
        virtio.PrepareInterrupts((ushort)(2 * ports + (isMultiport ? 2 : 0)));
        VirtioConsoleControl? control = null;
        result = isMultiport ? CreateControl(virtio, out control) : ProbeResult.Bound;
        if (!result.IsBound)
        {
            return result;
        }
        VirtioConsoleChannel[] channels = new VirtioConsoleChannel[ports];
        for (int i = 0; i < ports && result.IsBound; i++)
        {
            result = CreateChannel(virtio, i, isMultiport ? MaxPortQueueSize : MaxQueueSize, out channels[i]);
        }
        if (!result.IsBound)
        {
            control?.Free();
            return result;
        }
        VirtioConsole console = new(virtio, channels, control) { Name = "console" + _count.ToString() };
        if (!isMultiport && !console.TryAddOnlyPort())
        {
            return virtio.Fail("there is no memory for the console's buffers", 0);
        }
        _count++;
        virtio.Start();
        console.Begin();
        device = console;
        return ProbeResult.Bound;
    }

    /// <summary>As many ports as the device says, has queues for, and are wanted; the first one always.</summary>
    private int CountPorts(VirtioDevice virtio)
    {
        uint said = virtio.ReadConfig32(VirtioConsoleFormat.MaxPortsOffset);
        if (said == 0)
        {
            Log.Write(LogLevel.Warning, "virtio-console", "the device offers several ports and allows none; one is used", 0);
        }
        int count = 1;
        while (count < said && count < MaxPorts && virtio.Transport.ReadMaxQueueSize(VirtioConsoleFormat.TransmitQueueOf(count)) != 0)
        {
            count++;
        }
        return count;
    }

    private static ProbeResult CreateControl(VirtioDevice virtio, out VirtioConsoleControl? control)
    {
        control = null;
        ProbeResult result = virtio.CreateQueue(VirtioConsoleFormat.ControlReceiveQueue, MaxQueueSize, out Virtqueue? receive);
        if (!result.IsBound)
        {
            return result;
        }
        result = virtio.CreateQueue(VirtioConsoleFormat.ControlTransmitQueue, MaxQueueSize, out Virtqueue? transmit);
        if (!result.IsBound)
        {
            return result;
        }
        return VirtioConsoleControl.TryCreate(virtio.Transport.Dma, receive!, transmit!, out control)
            ? ProbeResult.Bound
            : virtio.Fail("there is no memory for the control messages", 0);
    }

    private static ProbeResult CreateChannel(VirtioDevice virtio, int port, ushort maxSize, out VirtioConsoleChannel channel)
    {
        channel = null!;
        ProbeResult result = virtio.CreateQueue(VirtioConsoleFormat.ReceiveQueueOf(port), maxSize, out Virtqueue? receive);
        if (!result.IsBound)
        {
            return result;
        }
        result = virtio.CreateQueue(VirtioConsoleFormat.TransmitQueueOf(port), maxSize, out Virtqueue? transmit);
        if (result.IsBound)
        {
            channel = new VirtioConsoleChannel(virtio.Transport.Dma, receive!, transmit!);
        }
        return result;
    }
}
