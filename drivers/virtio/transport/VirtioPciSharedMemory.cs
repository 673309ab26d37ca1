// The shared memory of a device over PCI (virtio 4.1.4.7).
using VirtioSharp.Drivers.Pci;

namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>Finds the regions that capabilities name; nothing is mapped.</summary>
public static class VirtioPciSharedMemory
{
    /// <summary>The regions of a virtio function, in the order of its list: those that lie within a memory BAR, each id once.</summary>
    public static SharedMemoryRegion[] Find(PciFunction function)
    {
        SharedMemoryRegion[] regions = new SharedMemoryRegion[0];
        PciCapabilities walk = new(function);
        while (walk.MoveNext())
        {
            if (walk.Id == PciRegisters.CapabilityVendor && walk.Fits(VirtioPciRegisters.CapabilityLength) &&
                function.ReadConfig8((ushort)(walk.Offset + VirtioPciRegisters.CapabilityTypeField)) == VirtioPciRegisters.SharedMemoryConfiguration)
            {
                Consider(function, walk, ref regions);
            }
        }
        return regions;
    }

    /// <summary>Adds the region of one capability, if it makes sense.</summary>
    internal static void Consider(PciFunction function, in PciCapabilities walk, ref SharedMemoryRegion[] regions)
    {
        ushort place = walk.Offset;
        byte length = function.ReadConfig8((ushort)(place + VirtioPciRegisters.CapabilityLengthField));
        if (length < VirtioPciRegisters.SharedMemoryCapabilityLength || !walk.Fits(VirtioPciRegisters.SharedMemoryCapabilityLength))
        {
            return;
        }
        byte bar = function.ReadConfig8((ushort)(place + VirtioPciRegisters.CapabilityBarField));
        byte id = function.ReadConfig8((ushort)(place + VirtioPciRegisters.CapabilityIdField));
        ulong offset = Read64(function, place, VirtioPciRegisters.CapabilityOffsetField, VirtioPciRegisters.OffsetHighField);
        ulong size = Read64(function, place, VirtioPciRegisters.CapabilitySizeField, VirtioPciRegisters.SizeHighField);
        if (bar > 5 || size == 0 || !function.TryGetBar(bar, out PciBar description) || description.IsPorts || offset > description.Length ||
            size > description.Length - offset)
        {
            return;
        }
        for (int i = 0; i < regions.Length; i++)
        {
            if (regions[i].Id == id)
            {
                return;
            }
        }
        Array.Resize(ref regions, regions.Length + 1);
        regions[regions.Length - 1] = new SharedMemoryRegion(id, description.Address == 0 ? 0 : description.Address + offset, size);
    }

    private static ulong Read64(PciFunction function, ushort place, int low, int high) =>
        function.ReadConfig32((ushort)(place + low)) | (ulong)function.ReadConfig32((ushort)(place + high)) << 32;
}
