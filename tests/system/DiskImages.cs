// Disk images for a test, removed afterwards.
using System.Diagnostics;
using System.IO;
using System.Security.Cryptography;
using Xunit;

namespace VirtioSharp.Tests.System;

/// <summary>A folder of images that lives as long as a test.</summary>
public sealed class DiskImages : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("virtiosharp-").FullName;

    /// <summary>A path in the folder.</summary>
    public string PathOf(string name) => Path.Combine(_folder, name);

    /// <summary>A raw image of random bytes, the same for the same seed.</summary>
    public string Random(string name, int length, int seed = 1)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        File.WriteAllBytes(PathOf(name), bytes);
        return PathOf(name);
    }

    /// <summary>A disk with a partition table and a file system, made by ordinary tools.</summary>
    public string Demo(string name)
    {
        Run(Path.Combine(KernelRun.Root, "tools", "make-demo-disk"), PathOf(name));
        return PathOf(name);
    }

    /// <summary>A qcow2 copy of a raw image.</summary>
    public string Qcow2(string raw, string name)
    {
        Run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, PathOf(name));
        return PathOf(name);
    }

    /// <summary>A qcow2 image without content, which grows as it is written.</summary>
    public string NewQcow2(string name, long length)
    {
        Run("qemu-img", "create", "-q", "-f", "qcow2", PathOf(name), length.ToString());
        return PathOf(name);
    }

    /// <summary>A disk of 16 MiB with a GUID partition table and two partitions, made by sfdisk.</summary>
    public string WithGuidTable(string name)
    {
        File.WriteAllBytes(PathOf(name), new byte[16 << 20]);
        File.WriteAllText(PathOf("script"), "label: gpt\nstart=2048,size=8192,type=uefi,name=\"boot here\"\nstart=10240,size=4096,type=linux\n");
        Run("sh", "-c", $"PATH=$PATH:/usr/sbin:/sbin sfdisk --quiet '{PathOf(name)}' < '{PathOf("script")}'");
        return PathOf(name);
    }

    /// <summary>The hash of an image, as the kernel prints it.</summary>
    public static string Hash(string path) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)));

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static void Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        bool ended = process.WaitForExit(TimeSpan.FromSeconds(60));
        Assert.True(ended && process.ExitCode == 0, $"{program} {string.Join(' ', arguments)} failed");
    }
}
