// A virtio device that does nothing with its queues: the test plays the device.
namespace VirtioSharp.Tests.Fakes.Virtio;

/// <summary>A device for tests of queues and of the life of a device; it has no configuration and works never by itself.</summary>
public sealed class FakeQueueDevice : FakeVirtioDevice
{
    /// <summary>A device type that has no driver.</summary>
    public const ushort Type = 0x30;

    /// <summary>Makes a device with some queues.</summary>
    public FakeQueueDevice(ushort queueSize, int queues = 1)
        : base(Type, 0, queues, queueSize)
    {
        IsHeld = true;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<FakeConfigField> ConfigFields => [];

    /// <inheritdoc/>
    protected override void Process(FakeVirtqueue queue)
    {
    }
}
