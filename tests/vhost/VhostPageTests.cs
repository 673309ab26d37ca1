// The page that lists what the booted kernel is attacked with.
using System.IO;
using System.Text;
using System.Text.RegularExpressions;
using VirtioSharp.Tests.System;
using Xunit;

namespace VirtioSharp.Tests.Vhost;

/// <summary><c>HOSTILE_KERNEL=write</c> writes the page instead of comparing it.</summary>
public sealed partial class VhostPageTests
{
    private const string Beginning = """
        # What a device does to the booted kernel

        A vhost-user disk of our own does these things to the kernel while it runs ([decision 24](decisions/0024-vhost.md)). The first three
        characters of an id are those of [hostile-cases.md](hostile-cases.md); X and Y are random. Whatever comes of a case: no panic, no hang, no
        request that ends twice or never, no data that are wrong and pass for good, no memory lost. The page is written from the tables of
        `tests/vhost` by a test: `HOSTILE_KERNEL=write dotnet test tests/VirtioSharp.Tests.csproj --filter FullyQualifiedName~VhostPage`.

        | word | meaning |
        |---|---|
        | works | every request ends well, and the device is not reset |
        | recovers | every request ends well, after the device was reset |
        | fails | requests end with an error; the device is not reset, and others end well |
        | failsandrecovers | requests end with an error; the device is reset, and everything ends well at the end |
        | timesout | requests end after their deadline; the device is reset, and everything ends well at the end |
        | timesoutandbreaks | the same, and the ring breaks later: a second reset |
        | limps | some requests end with an error or late, to the end, and others well, with the device reset in between |
        | givenup | the device is given up: everything ends with an error |
        | refused | the probe fails with a reason: there is no disk |
        | empty | the disk is in service and too small for anything |
        | deceives | the device wrote something else and said that it was well, which no driver can see |

        """;

    private static string PagePath => Path.Combine(KernelRun.Root, "docs", "hostile-kernel.md");

    [Fact]
    public void The_page_says_what_the_tables_say()
    {
        string page = Write();
        if (Environment.GetEnvironmentVariable("HOSTILE_KERNEL") == "write")
        {
            File.WriteAllText(PagePath, page);
        }
        Assert.Equal(page, File.ReadAllText(PagePath));
    }

    [Fact]
    public void There_are_at_least_80_cases_and_each_has_a_name_of_the_list()
    {
        string[] ids = [.. HostileVhostTests.All.Select(each => each.Id)];
        Assert.Equal(ids.Length, ids.Distinct().Count());
        Assert.True(ids.Length >= 80, $"{ids.Length} cases");
        string list = File.ReadAllText(Path.Combine(KernelRun.Root, "docs", "hostile-cases.md"));
        Assert.DoesNotContain(ids, id => id[0] is not ('X' or 'Y') && !list.Contains($"| {id[..3]} |"));
        Assert.All(ids, id => Assert.Matches(Name(), id));
    }

    private static string Write()
    {
        StringBuilder page = new(Beginning);
        page.Append("\n| case | what the device does | rings | what comes of it |\n|---|---|---|---|\n");
        int boots = 0;
        foreach (VhostCase each in HostileVhostTests.All.OrderBy(each => each.Id, StringComparer.Ordinal))
        {
            string rings = each.Rings == VhostRings.Both ? "split, packed" : each.Rings.ToString().ToLowerInvariant();
            page.Append($"| {each.Id} | {each.Story} | {rings} | {string.Join(" or ", each.Or.Prepend(each.Expected)).ToLowerInvariant()} |\n");
            boots += each.Rings == VhostRings.Both ? 2 : 1;
        }
        return page.Append($"\n{HostileVhostTests.All.Count} cases, {boots} boots.\n").ToString();
    }

    [GeneratedRegex("^[A-Z][0-9]{2}[a-z]?(-pin|-polled)?$")]
    private static partial Regex Name();
}
