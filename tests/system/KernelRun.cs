// Boots the kernel in QEMU and waits for its verdict.
using System.Diagnostics;
using System.IO;
using System.Text;
using System.Threading.Tasks;
using Xunit;

namespace VirtioSharp.Tests.System;

/// <summary>What a run of the kernel left behind.</summary>
/// <param name="ExitCode">QEMU's exit code: 33 all went well, 35 a command failed, 37 a panic; 0 never means success.</param>
/// <param name="Serial">Everything the kernel said.</param>
public sealed record KernelResult(int ExitCode, string Serial)
{
    /// <summary>The lines of the serial output.</summary>
    public string[] Lines => Serial.Replace("\r", "").Split('\n', StringSplitOptions.RemoveEmptyEntries);
}

/// <summary>Starts QEMU with the kernel; every run has an end.</summary>
public sealed class KernelRun : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly StringBuilder _serial = new();
    private readonly StringBuilder _errors = new(); // what QEMU itself says, which would fall into the middle of lines
    private readonly object _lock = new();
    private readonly Task[] _followers;

    private KernelRun(Process process)
    {
        _process = process;
        _followers = [Follow(process.StandardOutput, _serial), Follow(process.StandardError, _errors)];
    }

    /// <summary>The folder of the checkout.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The kernel under test; <c>VIRTIOSHARP_KERNEL</c> names another.</summary>
    public static string KernelPath { get; } =
        Environment.GetEnvironmentVariable("VIRTIOSHARP_KERNEL") ?? Path.Combine(Root, "build", "kernel.elf");

    /// <summary>Options of a disk in front of the guest.</summary>
    public static string[] Disk(string image, string format = "raw", string device = "virtio-blk-pci", string more = "") =>
    [
        "-drive", $"if=none,id={Path.GetFileNameWithoutExtension(image)},file={image},format={format}",
        "-device", $"{device},drive={Path.GetFileNameWithoutExtension(image)},disable-legacy=on{more}",
    ];

    /// <summary>Boots, waits for the end and answers with the exit code and what was said.</summary>
    public static KernelResult Boot(string machine, string append, params string[] options)
    {
        using KernelRun run = Start(machine, append, options);
        return run.WaitForEnd();
    }

    /// <summary>Boots another kernel file.</summary>
    public static KernelResult BootOther(string kernel, string machine, string append, params string[] options)
    {
        using KernelRun run = StartOther(kernel, machine, append, options);
        return run.WaitForEnd();
    }

    /// <summary>Boots and leaves the kernel running; its serial line is <see cref="Send"/> and <see cref="WaitFor"/>.</summary>
    public static KernelRun Start(string machine, string append, params string[] options) => StartOther(KernelPath, machine, append, options);

    private static KernelRun StartOther(string kernel, string machine, string append, string[] options)
    {
        Assert.True(File.Exists(kernel), $"there is no kernel at {kernel}; run make first");
        ProcessStartInfo info = new(Environment.GetEnvironmentVariable("QEMU") is { Length: > 0 } qemu ? qemu : "qemu-system-x86_64")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        string[] all =
        [
            "-M", machine, "-m", "128", "-nodefaults", "-display", "none", "-no-reboot", "-kernel", kernel, "-append", append,
            "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", .. options,
        ];
        foreach (string option in all)
        {
            info.ArgumentList.Add(option);
        }
        return new KernelRun(Process.Start(info)!);
    }

    /// <summary>Types on the serial line.</summary>
    public void Send(string text)
    {
        _process.StandardInput.Write(text);
        _process.StandardInput.Flush();
    }

    /// <summary>Waits until the kernel has said <paramref name="text"/>, counted from the beginning.</summary>
    public void WaitFor(string text)
    {
        Stopwatch watch = Stopwatch.StartNew();
        lock (_lock)
        {
            while (!_serial.ToString().Contains(text))
            {
                TimeSpan left = s_limit - watch.Elapsed;
                Assert.True(left > TimeSpan.Zero && !_process.HasExited, $"the kernel never said: {text}\nIt said:\n{_serial}{_errors}");
                global::System.Threading.Monitor.Wait(_lock, TimeSpan.FromMilliseconds(Math.Min(left.TotalMilliseconds, 200)));
            }
        }
    }

    /// <summary>Waits for QEMU's end.</summary>
    public KernelResult WaitForEnd()
    {
        bool ended = _process.WaitForExit(s_limit);
        if (!ended)
        {
            _process.Kill();
        }
        _process.WaitForExit();
        Task.WaitAll(_followers, s_limit);
        lock (_lock)
        {
            Assert.True(ended, $"the kernel did not come to an end. It said:\n{_serial}");
            return new KernelResult(_process.ExitCode, _serial.Append(_errors).ToString());
        }
    }

    /// <summary>Ends QEMU as a power cut does, by SIGKILL, and answers with what the kernel had said.</summary>
    public string Kill()
    {
        _process.Kill();
        _process.WaitForExit();
        Task.WaitAll(_followers, s_limit);
        lock (_lock)
        {
            return _serial.ToString();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }
        _process.Dispose();
    }

    private Task Follow(StreamReader reader, StringBuilder into) =>
        Task.Run(() =>
        {
            char[] buffer = new char[4096];
            int count;
            while ((count = reader.Read(buffer)) > 0)
            {
                lock (_lock)
                {
                    into.Append(buffer, 0, count);
                    global::System.Threading.Monitor.PulseAll(_lock);
                }
            }
        });

    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "linker.ld")))
        {
            folder = folder.Parent;
        }
        return folder?.FullName ?? Directory.GetCurrentDirectory();
    }
}
