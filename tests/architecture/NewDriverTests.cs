// What a new driver touches: files of its own, and one line that registers it.
using System.Text.RegularExpressions;
using Xunit;

namespace VirtioSharp.Tests.Architecture;

/// <summary>drivers/entropy came last and is the proof: nothing but a registration knows that there is such a driver.</summary>
public sealed partial class NewDriverTests
{
    private const string Disks = "drivers/block";
    private const string OnDisks = "drivers/partitions/";
    private const string Registration = "kernel/Kernel.cs";

    [Theory]
    [InlineData("drivers/block", "VirtioBlkDriver")]
    [InlineData("drivers/console", "VirtioConsoleDriver")]
    [InlineData("drivers/entropy", "VirtioRngDriver")]
    public void One_line_of_the_kernel_registers_a_driver(string folder, string driver)
    {
        Assert.Contains(Declared(folder), name => name == driver);
        string[] lines = [.. Uses("kernel", [driver])];
        Assert.Equal([$"{Registration}: drivers.Add(new {driver}());"], lines);
    }

    [Theory]
    [InlineData("drivers/block")]
    [InlineData("drivers/console")]
    [InlineData("drivers/entropy")]
    public void No_other_part_of_the_drivers_knows_a_device_class_or_its_driver(string folder)
    {
        string[] names = Declared(folder);
        Assert.NotEmpty(names);
        // Partitions are built on disks: no driver either.
        Assert.All(
            Uses("drivers", names),
            use => Assert.True(IsIn(use, folder + "/") || (folder == Disks && IsIn(use, OnDisks)), use));
    }

    [Fact]
    public void Nobody_names_what_the_entropy_driver_is_made_of_and_few_use_its_device_class()
    {
        string[] names = Declared("drivers/entropy");
        string[] made = [.. names.Where(name => name.StartsWith("Virtio", StringComparison.Ordinal))];
        Assert.Equal(["VirtioRng", "VirtioRngDriver"], made.Order());
        Assert.Single(Uses("kernel", made)); // the registration
        string[] users = [.. Uses("kernel", names.Except(made)).Select(use => use.Split(':')[0]).Distinct()];
        Assert.All(users, user => Assert.StartsWith("kernel/entropy/", user));
    }

    /// <summary>The check finds what it is for: the kernel's shell does know what a disk is.</summary>
    [Fact]
    public void The_check_finds_users() => Assert.Contains(Uses("kernel", ["BlockDevice"]), use => use.StartsWith("kernel/apps/", StringComparison.Ordinal));

    private static bool IsIn(string use, string folder) => use.StartsWith(folder, StringComparison.Ordinal);

    private static string[] Declared(string folder) =>
    [
        .. SourceTree.Read(folder).SelectMany(file => file.Code()).Select(line => Declaration().Match(line.Code)).Where(match => match.Success)
            .Select(match => match.Groups[1].Value).Distinct(),
    ];

    private static IEnumerable<string> Uses(string folder, IEnumerable<string> names)
    {
        Regex any = new("\\b(" + string.Join('|', names) + ")\\b");
        return SourceTree.Read(folder).SelectMany(file => file.Code()
            .Where(line => any.IsMatch(line.Code) && !line.Code.StartsWith("using ", StringComparison.Ordinal))
            .Select(line => $"{file.Path}: {line.Code.Trim()}"));
    }

    [GeneratedRegex("^(?:public|internal) (?:[a-z]+ )*(?:class|struct|enum|record) (\\w+)")]
    private static partial Regex Declaration();
}
