// The life of a virtio device: beginning anew after a reset, of the whole device (virtio 2.4) or of one queue (2.6.1).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Virtio;

public sealed partial class VirtioDevice
{
    /// <summary>
    /// Stops the device to begin anew: reset awaited, interrupts and queues kept. Buffers in flight can be detached afterwards, all of them
    /// before <see cref="Restart"/>. False when it does not come out of reset: <see cref="Stop"/> is all that is left.
    /// </summary>
    public bool Halt()
    {
        IsRunning = false;
        return Transport.IsPresent && TryReset();
    }

    /// <summary>
    /// After <see cref="Halt"/>: steps 2 to 7 once more with the features of before, on the same queues; <see cref="Start"/> follows.
    /// A device that has become another one meanwhile (features, queues) is failed.
    /// </summary>
    public ProbeResult Restart()
    {
        AddStatus(DeviceStatus.Acknowledge);
        AddStatus(DeviceStatus.Driver);
        OfferedFeatures = Transport.ReadDeviceFeatures();
        ulong missing = Features & ~OfferedFeatures;
        if (missing != 0)
        {
            return Fail("the device lacks a feature that it had before its reset", missing);
        }
        ProbeResult result = AcceptFeatures(Features);
        if (!result.IsBound)
        {
            return result;
        }
        _interrupts.RestoreConfigVector();
        for (int i = 0; i < _queueCount; i++)
        {
            Virtqueue queue = _queues[i];
            queue.Restart();
            if (Transport.ReadMaxQueueSize(queue.Index) < queue.Size || Transport.IsQueueEnabled(queue.Index) ||
                !TryEnableAgain(i))
            {
                return Fail("the device refused a queue that it had before its reset", queue.Index);
            }
        }
        return ProbeResult.Bound;
    }

    /// <summary>
    /// Resets one queue while the others run (virtio 2.6.1): afterwards its buffers can be detached, all of them before
    /// <see cref="RestartQueue"/>. False without RING_RESET, or when the device does not finish within a second.
    /// </summary>
    public bool TryHaltQueue(Virtqueue queue)
    {
        if (!Has(VirtioFeature.RingReset))
        {
            return false;
        }
        Transport.BeginQueueReset(queue.Index);
        ulong deadline = Transport.Clock.Now + ResetTimeout;
        for (int i = 0; i < ResetPolls; i++)
        {
            if (Transport.IsQueueReset(queue.Index))
            {
                return !Transport.IsQueueEnabled(queue.Index);
            }
            if (Transport.Clock.Now >= deadline)
            {
                break;
            }
            Transport.Clock.Pause();
        }
        return false;
    }

    /// <summary>Enables a queue again after <see cref="TryHaltQueue"/>; false when the device refuses it (the device has to be reset then).</summary>
    public bool RestartQueue(Virtqueue queue)
    {
        queue.Restart();
        for (int i = 0; i < _queueCount; i++)
        {
            if (_queues[i] == queue)
            {
                return TryEnableAgain(i);
            }
        }
        return false;
    }

    private bool TryEnableAgain(int number)
    {
        Virtqueue queue = _queues[number];
        return Transport.TrySetQueueVector(queue.Index, _vectors[number]) && Transport.EnableQueue(queue.Index, queue.Size, queue.Addresses).IsBound;
    }
}
