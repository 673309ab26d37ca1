// The registers of a virtio device, however they are reached (virtio chapter 4). No policy lives here.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>Where a virtqueue lies in the device's view of memory (virtio 2.7, 2.8, 4.1.4.3).</summary>
public readonly struct VirtqueueAddresses
{
    /// <summary>Names the three areas.</summary>
    public VirtqueueAddresses(ulong descriptorArea, ulong driverArea, ulong deviceArea)
    {
        DescriptorArea = descriptorArea;
        DriverArea = driverArea;
        DeviceArea = deviceArea;
    }

    /// <summary>The descriptor table or ring.</summary>
    public ulong DescriptorArea { get; }

    /// <summary>What the driver writes: the available ring, or the driver event suppression structure.</summary>
    public ulong DriverArea { get; }

    /// <summary>What the device writes: the used ring, or the device event suppression structure.</summary>
    public ulong DeviceArea { get; }

    /// <summary>
    /// The number of the page that the ring begins at, as the legacy interfaces want it (4.1.5.1.3.1, 4.2.4); false where the areas are not
    /// laid out in pages, or lie beyond what 32 bits can say.
    /// </summary>
    internal bool TryGetPageNumber(uint pageSize, out uint number)
    {
        ulong page = DescriptorArea / pageSize;
        number = (uint)page;
        return DescriptorArea % pageSize == 0 && DeviceArea % pageSize == 0 && page is not 0 and <= uint.MaxValue;
    }
}

/// <summary>
/// Access to the registers of one virtio device: get and set, queues by index, interrupts by vector. The order in which they may be
/// touched is the business of <see cref="VirtioDevice"/>, which is the only caller.
/// </summary>
public abstract class VirtioTransport
{
    /// <summary>The vector that means "no interrupt" (virtio 4.1.5.1.2).</summary>
    public const ushort NoVector = 0xFFFF;

    /// <summary>The reason of a transport whose device was told to use a queue, and does not say that it does.</summary>
    private protected const string QueueStaysOff = "the device does not take the place of a queue, or does not enable it";

    /// <summary>The name of the transport, for people: <c>modern PCI</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The device type id: 2 is a block device, 3 a console (virtio 5).</summary>
    public abstract ushort DeviceType { get; }

    /// <summary>True for the interface from before virtio 1.0: no FEATURES_OK, 32 feature bits.</summary>
    public abstract bool IsLegacy { get; }

    /// <summary>
    /// The features that this way to the device can serve, of bits 24 to 49 (virtio 6); a feature outside is not accepted even when it
    /// is offered. Device types' own bits are always set.
    /// </summary>
    public virtual ulong SupportedFeatures => ulong.MaxValue;

    /// <summary>False where a queue has the size the device says and no other (virtio 4.1.4.9, legacy).</summary>
    public virtual bool CanChooseQueueSize => true;

    /// <summary>
    /// The alignment of a ring's memory and of its used part in bytes: a power of two, at least 64; 4096 with the legacy layout (virtio 2.7.2).
    /// </summary>
    public virtual uint RingAlignment => 64;

    /// <summary>The memory the device can reach.</summary>
    public abstract DmaSpace Dma { get; }

    /// <summary>The time.</summary>
    public abstract Clock Clock { get; }

    /// <summary>
    /// False when the device has left its bus: nothing answers any more, and nothing can reach memory. What is on no bus can't leave it, whatever
    /// its registers show.
    /// </summary>
    public virtual bool IsPresent => true;

    /// <summary>Reads device status (virtio 2.1).</summary>
    public abstract byte ReadStatus();

    /// <summary>Writes device status; 0 resets.</summary>
    public abstract void WriteStatus(byte status);

    /// <summary>Reads the features the device offers, bits 0 to 63.</summary>
    public abstract ulong ReadDeviceFeatures();

    /// <summary>Writes the features the driver accepts, bits 0 to 63.</summary>
    public abstract void WriteDriverFeatures(ulong features);

    /// <summary>The length of the device configuration in bytes that may be accessed; 0 when there is none.</summary>
    public abstract uint ConfigLength { get; }

    /// <summary>Reads the generation of the device configuration (virtio 2.5.1).</summary>
    public abstract byte ReadConfigGeneration();

    /// <summary>Reads a byte of device configuration; the access must lie within <see cref="ConfigLength"/>.</summary>
    public abstract byte ReadConfig8(ushort offset);

    /// <summary>Reads 16 bits of device configuration at an even offset.</summary>
    public abstract ushort ReadConfig16(ushort offset);

    /// <summary>Reads 32 bits of device configuration at a multiple of 4.</summary>
    public abstract uint ReadConfig32(ushort offset);

    /// <summary>Writes a byte of device configuration.</summary>
    public abstract void WriteConfig8(ushort offset, byte value);

    /// <summary>Writes 16 bits of device configuration at an even offset.</summary>
    public abstract void WriteConfig16(ushort offset, ushort value);

    /// <summary>Writes 32 bits of device configuration at a multiple of 4.</summary>
    public abstract void WriteConfig32(ushort offset, uint value);

    /// <summary>How many queues the device says it has; a missing index is an answer (size 0) and no error.</summary>
    public virtual ushort ReadQueueCount()
    {
        // Where the interface does not say: a queue without a size does not exist, and those that do are numbered without a gap.
        ushort count = 0;
        while (count < ushort.MaxValue && ReadMaxQueueSize(count) != 0)
        {
            count++;
        }
        return count;
    }

    /// <summary>The largest size the device offers for <paramref name="queue"/>; 0 when there is no such queue.</summary>
    public abstract ushort ReadMaxQueueSize(ushort queue);

    /// <summary>True when the queue is enabled already, as one left behind by firmware would be.</summary>
    public abstract bool IsQueueEnabled(ushort queue);

    /// <summary>
    /// Sets size and addresses of <paramref name="queue"/> and enables it, in that order, reading back what may be refused; failed with a
    /// reason when the device refused one or its notify address lies outside its region. The vector was set before.
    /// </summary>
    public abstract ProbeResult EnableQueue(ushort queue, ushort size, in VirtqueueAddresses addresses);

    /// <summary>
    /// Sets the vector of used buffers of <paramref name="queue"/>, which is not enabled yet; false when the device refused it (virtio
    /// 4.1.5.1.2.2). Where there are no vectors only <see cref="NoVector"/> can be set.
    /// </summary>
    public abstract bool TrySetQueueVector(ushort queue, ushort vector);

    /// <summary>Sets the vector of configuration changes; false when the device refused it.</summary>
    public abstract bool TrySetConfigVector(ushort vector);

    /// <summary>Tells the device that there is something in <paramref name="queue"/>, which is enabled. One register write.</summary>
    public abstract void Notify(ushort queue);

    /// <summary>
    /// The same with NOTIFICATION_DATA (virtio 2.9, 4.1.5.2): also says where the next buffer will be put, bits 0 to 14 the offset in the
    /// ring and bit 15 the wrap counter (or with a split ring the whole available index). Only called when the feature was agreed on.
    /// </summary>
    public virtual void NotifyWithPosition(ushort queue, ushort position) => Notify(queue);

    /// <summary>Begins the reset of one queue (virtio 2.6.1, 4.1.4.3); only called when RING_RESET was agreed on.</summary>
    public virtual void BeginQueueReset(ushort queue)
    {
    }

    /// <summary>True when the reset of a queue that was begun is done.</summary>
    public virtual bool IsQueueReset(ushort queue) => true;

    /// <summary>How many regions of shared memory the device has (virtio 2.10).</summary>
    public virtual int SharedMemoryCount => 0;

    /// <summary>The region <paramref name="number"/> of shared memory, from 0 to <see cref="SharedMemoryCount"/>.</summary>
    public virtual SharedMemoryRegion SharedMemory(int number) => default;

    /// <summary>Reads and clears the ISR status (virtio 4.1.4.5); only meaningful with a pin.</summary>
    public abstract byte ReadInterruptStatus();

    /// <summary>Chooses the best kind of interrupt there is and says how many of <paramref name="wanted"/> vectors there are.</summary>
    public abstract ushort PrepareInterrupts(ushort wanted, out InterruptKind kind);

    /// <summary>Calls <paramref name="handler"/> on <paramref name="vector"/>; false when that can't be.</summary>
    public abstract bool TryAttachInterrupt(ushort vector, InterruptHandler handler);

    /// <summary>No handler is called afterwards.</summary>
    public abstract void ReleaseInterrupts();

    /// <summary>The device may reach no memory any more; called after the reset, last.</summary>
    public abstract void Disable();
}
