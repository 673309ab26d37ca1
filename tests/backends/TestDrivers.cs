// The virtio drivers that tests run: the one place where a new one is entered.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Virtio;

namespace VirtioSharp.Tests.Backends;

/// <summary>What a kernel does with its table of drivers.</summary>
public static class TestDrivers
{
    /// <summary>A table of all drivers there are; each table numbers its devices anew.</summary>
    public static VirtioDriverTable All()
    {
        VirtioDriverTable drivers = new();
        drivers.Add(new VirtioBlkDriver());
        drivers.Add(new VirtioConsoleDriver());
        drivers.Add(new VirtioRngDriver());
        return drivers;
    }
}
