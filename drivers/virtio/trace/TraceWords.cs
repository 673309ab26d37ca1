// What people read behind the clause: names for the bits of status and features (virtio 2.1, 2.2).
namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>Says in the specification's words what a value means. Nothing here is compared when a trace is replayed.</summary>
internal static class TraceWords
{
    internal static void Status(TraceText text, uint status)
    {
        AddIf(text, status, DeviceStatus.Acknowledge, " ACKNOWLEDGE");
        AddIf(text, status, DeviceStatus.Driver, " DRIVER");
        AddIf(text, status, DeviceStatus.FeaturesOk, " FEATURES_OK");
        AddIf(text, status, DeviceStatus.DriverOk, " DRIVER_OK");
        AddIf(text, status, DeviceStatus.NeedsReset, " DEVICE_NEEDS_RESET");
        AddIf(text, status, DeviceStatus.Failed, " FAILED");
        text.Add(status == 0 ? " reset" : "");
    }

    /// <summary>Names the features of a word of 32.</summary>
    internal static void Features(TraceText text, VirtioDriver? driver, uint word, uint features)
    {
        for (int i = 0; i < 32; i++)
        {
            int bit = (int)(word * 32) + i;
            if ((features >> i & 1) != 0 && bit < 64)
            {
                string common = VirtioFeature.NameOf(bit);
                string name = common.Length == 0 && driver is not null ? driver.NameOfFeature(bit) : common;
                text.Add(" ");
                if (name.Length == 0)
                {
                    text.Add("bit").Add((ulong)bit);
                }
                else
                {
                    text.Add(name);
                }
            }
        }
    }

    private static void AddIf(TraceText text, uint value, byte bit, string name) => text.Add((value & bit) != 0 ? name : "");
}
