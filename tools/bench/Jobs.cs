// The runs of the benchmark: which machines, in which ways, timed and counted.
using System.Globalization;

namespace VirtioSharp.Bench;

/// <summary>Runs all jobs.</summary>
internal static class Jobs
{
    private const ulong DiskLength = 1ul << 30;

    /// <summary>QEMU's options for a disk without cost of its own.</summary>
    public static string[] NullDisk(string options = "", ulong length = DiskLength, int number = 0) =>
    [
        "-blockdev", string.Create(CultureInfo.InvariantCulture, $"driver=null-co,node-name=null{number},size={length},read-zeroes=off"),
        "-device", $"virtio-blk-pci,drive=null{number},disable-legacy=on{(options.Length == 0 ? "" : "," + options)}",
    ];

    /// <summary>Ports for the console's jobs: one that takes everything, and two that are connected with each other.</summary>
    private static string[] Ports()
    {
        string socket = Path.Combine(MachineRun.Folder, "loop.sock");
        File.Delete(socket);
        return
        [
            "-device", "virtio-serial-pci,disable-legacy=on",
            "-chardev", "file,id=sink,path=/dev/null", "-device", "virtserialport,chardev=sink,name=bench.sink",
            "-chardev", $"socket,id=there,path={socket},server=on,wait=off", "-device", "virtserialport,chardev=there,name=bench.there",
            "-chardev", $"socket,id=back,path={socket}", "-device", "virtserialport,chardev=back,name=bench.back",
        ];
    }

    /// <summary>One round by the clock, each job for so many milliseconds.</summary>
    public static List<JobResult> Time(uint milliseconds)
    {
        string ms = string.Create(CultureInfo.InvariantCulture, $" ms={milliseconds}");
        return
        [
            .. Run("run=\"bench await; bench direct\"" + ms, NullDisk(), "split", counted: false),
            .. Run("run=\"bench await; bench direct\" interrupts=none" + ms, NullDisk(), "split", counted: false),
            .. Run("run=\"bench await\"" + ms, NullDisk("packed=on"), "packed", counted: false),
            .. Run("run=\"bench console\"" + ms, Ports(), "split", counted: false),
        ];
    }

    /// <summary>
    /// The counts. Not with polling: how often a poll finds nothing depends on the clock.
    /// </summary>
    public static List<JobResult> Count() =>
    [
        .. Run("run=\"bench await; bench direct\" ios=8000", NullDisk(), "split", counted: true),
        .. Run("run=\"bench await\" ios=8000", NullDisk("packed=on"), "packed", counted: true),
        .. Run("run=\"bench console\" ios=200", Ports(), "split", counted: true),
        .. Boots.Count(),
    ];

    /// <summary>Runs one machine and reads its jobs.</summary>
    public static List<JobResult> Run(string line, string[] devices, string ring, bool counted) =>
        JobResult.Read(MachineRun.Run(new MachineSetup(line, devices) { IsCounted = counted, TakesTurns = !line.Contains("interrupts=none", StringComparison.Ordinal) }), ring);
}
