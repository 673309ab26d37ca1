// The machine under the kernel, where it is not the usual one: memory, processor, timer, serial line.
using System.Linq;
using System.Text;
using Xunit;
namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed class MachineTests
{
    [Theory]
    [InlineData("q35", "ECAM")]
    [InlineData("pc", "ports")]
    public void Tables_above_the_first_GiB_are_found(string machine, string access)
    {
        KernelResult result = KernelRun.Boot(machine, "run=mem", "-m", "2G");
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains($", ACPI, config space by {access}", result.Serial);
    }

    [Theory]
    [InlineData("qemu32")]
    [InlineData("qemu64,-nx")]
    public void A_processor_that_will_not_do_is_told_on_the_first_line(string processor)
    {
        KernelResult result = KernelRun.Boot("q35", "run=mem", "-cpu", processor);
        Assert.Equal(37, result.ExitCode);
        Assert.Contains("VirtioSharp needs a 64-bit processor with no-execute pages", result.Serial);
    }

    [Fact]
    public void Too_little_memory_is_a_panic_that_says_how_much_is_enough()
    {
        KernelResult result = KernelRun.Boot("q35", "run=mem", "-m", "2");
        Assert.Equal(37, result.ExitCode);
        Assert.Contains("PANIC: there is too little memory; give the machine at least 8 MiB", result.Serial);
        Assert.Equal(33, KernelRun.Boot("q35", "run=mem", "-m", "8").ExitCode);
    }

    [Fact]
    public void A_machine_without_a_timer_chip_keeps_time()
    {
        KernelResult result = KernelRun.Boot("microvm,pit=off,pic=off,rtc=off", "run=selftest");
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("PASS timer", result.Serial);
    }

    [Fact]
    public void A_machine_without_a_serial_port_runs_in_silence()
    {
        KernelResult result = KernelRun.Boot("microvm,isa-serial=off", "run=selftest");
        Assert.Equal(33, result.ExitCode);
        Assert.Equal("", result.Serial);
    }

    [Theory]
    [InlineData("pc")]
    [InlineData("q35")]
    [InlineData("microvm,pcie=on")]
    public void Devices_that_share_interrupt_pins_are_all_served(string machine)
    {
        using DiskImages images = new();
        string[] disks = [.. Enumerable.Range(0, 5).SelectMany(i => KernelRun.Disk(images.Random($"d{i}.img", 65536), more: ",vectors=0"))];
        string commands = string.Join(';', Enumerable.Range(0, 5).Select(i => $"disk {i} sha256"));
        KernelResult result = KernelRun.Boot(machine, $"run=\"{commands}\"", disks);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal(5, result.Lines.Count(line => line.Contains("1 interrupt pin")));
        for (int i = 0; i < 5; i++)
        {
            Assert.Contains(DiskImages.Hash(images.PathOf($"d{i}.img")), result.Serial);
        }
    }

    [Theory]
    [InlineData("pc")]
    [InlineData("pc,acpi=off")]
    [InlineData("q35")]
    [InlineData("q35,acpi=off")]
    [InlineData("microvm,pcie=on,ioapic2=off")]
    public void Pins_arrive_at_the_8259_pair_when_they_are_asked_to(string machine)
    {
        using DiskImages images = new();
        string[] disks = [.. Enumerable.Range(0, 5).SelectMany(i => KernelRun.Disk(images.Random($"d{i}.img", 1 << 20)))];
        string commands = string.Join(';', Enumerable.Range(0, 5).Select(i => $"disk {i} sha256"));
        KernelResult result = KernelRun.Boot(machine, $"run=\"{commands};selftest\" interrupts=8259", disks);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("PASS disk-interrupts", result.Serial);
        Assert.Equal(5, result.Lines.Count(line => line.Contains("1 interrupt pin")));
        for (int i = 0; i < 5; i++)
        {
            Assert.Contains(DiskImages.Hash(images.PathOf($"d{i}.img")), result.Serial);
        }
    }

    [Theory]
    [InlineData("pc")]
    [InlineData("q35")]
    [InlineData("microvm,pcie=on")]
    public void A_function_with_MSI_and_no_MSIX_interrupts_by_MSI(string machine)
    {
        KernelResult result = KernelRun.Boot(machine, "run=\"edu msi\"", "-device", "edu");
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("edu: 3 interrupts by MSI", result.Serial);
    }

    [Fact]
    public void A_line_that_nobody_claims_is_silenced_and_the_disk_that_shares_it_still_serves()
    {
        // The edu device holds its pin up for as long as its status is not acknowledged, which nobody does here: no driver knows it.
        using DiskImages images = new();
        string image = images.Random("disk.img", 1 << 20);
        KernelResult result = KernelRun.Boot(
            "pc", "run=\"edu storm; disk 0 sha256; selftest disk-write\"", ["-device", "edu,addr=4", .. KernelRun.Disk(image, more: ",vectors=0,addr=8")]);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("nobody claims a line, which is silenced", result.Serial);
        Assert.Contains(DiskImages.Hash(image), result.Serial);
    }

    [Fact]
    public void What_is_typed_before_the_kernel_listens_and_faster_than_it_works_is_all_carried_out()
    {
        const int Count = 1000;
        StringBuilder typed = new();
        for (int i = 0; i < Count; i++)
        {
            typed.Append("uptime\r");
        }
        using KernelRun run = KernelRun.Start("q35", "");
        run.Send(typed.Append("halt\r").ToString());
        KernelResult result = run.WaitForEnd();
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal(Count, result.Lines.Count(line => line.StartsWith("up ")));
        Assert.DoesNotContain("unknown command", result.Serial);
    }
}
