// What the machines of QEMU over its test socket have in common: registers, time, and what a backend needs of them.
using System.Diagnostics;
using System.IO;
using System.Threading;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>A machine with one virtio device, whatever its bus.</summary>
internal interface IQtestMachine : IDisposable
{
    /// <summary>The host's time.</summary>
    Clock Clock { get; }

    /// <summary>How many pieces of memory the driver has not given back.</summary>
    int MemoryInUse { get; }

    /// <summary>Takes the only virtio device into service.</summary>
    T AttachOne<T>()
        where T : Device;
}

/// <summary>What every machine of QEMU is begun with.</summary>
internal static class QtestBinding
{
    internal static string NewFolder() => Directory.CreateTempSubdirectory("virtiosharp-qtest-").FullName;

    internal static VirtioDriverTable Drivers() => TestDrivers.All();
}

/// <summary>The host's time; a wait dispatches interrupts until one came.</summary>
internal sealed class QtestClock(Func<bool> dispatch) : Clock
{
    private readonly Stopwatch _watch = Stopwatch.StartNew();

    public override ulong Now => (ulong)_watch.Elapsed.TotalNanoseconds;

    public override bool WaitForInterrupt(ulong deadline)
    {
        while (!dispatch())
        {
            if (Now >= deadline)
            {
                return false;
            }
            Thread.Yield();
        }
        return true;
    }
}

/// <summary>Registers in memory (<c>read</c>, <c>write</c>) or in port space (<c>in</c>, <c>out</c>): one command for each access.</summary>
internal sealed class QtestIoRegion(QtestProcess process, ulong start, ulong length, string read, string write) : IoRegion
{
    public override ulong Length => length;

    public override byte Read8(ulong offset) => (byte)process.Read(read + "b", start + offset);

    public override ushort Read16(ulong offset) => (ushort)process.Read(read + "w", start + offset);

    public override uint Read32(ulong offset) => process.Read(read + "l", start + offset);

    public override void Write8(ulong offset, byte value) => process.Write(write + "b", start + offset, value);

    public override void Write16(ulong offset, ushort value) => process.Write(write + "w", start + offset, value);

    public override void Write32(ulong offset, uint value) => process.Write(write + "l", start + offset, value);
}
