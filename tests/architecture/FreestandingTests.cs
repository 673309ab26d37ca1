// What the freestanding compiler can't do, or not without a runtime, is not in drivers/.
using System.Text.RegularExpressions;
using Xunit;

namespace VirtioSharp.Tests.Architecture;

/// <summary>drivers/ compiles against .NET and against a library of its own; what only one of them can do is refused here.</summary>
public sealed class FreestandingTests
{
    private static readonly (string Name, string Pattern)[] Refused =
    [
        ("throw: failure is a value with a reason (throw null is never reached)", @"\bthrow\b(?! null!;)"),
        ("try: nothing is thrown, nothing is caught", @"\b(try|catch|finally)\b\s*($|\{|\()"),
        ("conditional compilation: one source for both compilers", @"^\s*#(if|elif|else|endif|define|region)"),
        ("a static object: its constructor would not run", @"\bstatic\s+readonly\b.*(=\s*new\b|=\s*\[)"),
        ("a static constructor", @"^\s*static\s+[A-Z]\w*\s*\(\s*\)"),
        ("lock: there is one thread", @"\block\s*\("),
        ("LINQ", @"System\.Linq"),
        ("a delegate", @"\bdelegate\b(?!\s*\*)|\b(Func|Action|Predicate)<|\bevent\s+[A-Z]"),
        ("a lambda", @"[(,]\s*(static\s+)?[a-z]\w*\s*=>|\(\s*_\s*=>|=\s*(static\s+)?([a-z]\w*|_|\([\w\s,]*\))\s*=>"),
        ("string interpolation: it needs handlers", "\\$@?\"|@\\$\""),
        ("async: tasks are a layer on top", @"\b(async|await)\b"),
        ("an iterator", @"\byield\b"),
        ("an interface: calls through a fourth implementation need a resolver", @"\binterface\s+I[A-Z]"),
        ("a generic virtual method", @"\b(virtual|abstract|override)\b[^=(]*\b\w+<\w+>\s*\("),
        ("dynamic", @"\bdynamic\b"),
        ("reflection", @"System\.Reflection|\btypeof\s*\(|\.GetType\s*\("),
        ("a collection of .NET", @"System\.Collections|\b(List|Dictionary|HashSet|Queue|Stack)<"),
    ];

    [Fact]
    public void Drivers_hold_nothing_that_needs_a_runtime()
    {
        List<string> wrong = [];
        IReadOnlyList<SourceFile> files = SourceTree.Read("drivers");
        Assert.NotEmpty(files);
        foreach (SourceFile file in files)
        {
            foreach ((int number, string code) in file.Code())
            {
                foreach ((string name, string pattern) in Refused)
                {
                    if (Regex.IsMatch(code, pattern))
                    {
                        wrong.Add($"{file.Path}:{number}: {name}: {code.Trim()}");
                    }
                }
            }
        }
        Assert.True(wrong.Count == 0, string.Join(Environment.NewLine, wrong));
    }

    /// <summary>A check that finds nothing proves nothing: each pattern finds what it is for.</summary>
    [Theory]
    [InlineData("            throw new Exception();")]
    [InlineData("        try")]
    [InlineData("#if DEBUG")]
    [InlineData("    private static readonly Thing Only = new Thing();")]
    [InlineData("    private static readonly int[] Numbers = [1, 2];")]
    [InlineData("    static VirtioBlk()")]
    [InlineData("        lock (this)")]
    [InlineData("using System.Linq;")]
    [InlineData("    private Func<int> _what;")]
    [InlineData("    internal delegate void Done();")]
    [InlineData("        Sort(x => x.Length);")]
    [InlineData("        string s = $\"{x}\";")]
    [InlineData("    internal async ValueTask Go()")]
    [InlineData("            yield return 1;")]
    [InlineData("internal interface IThing")]
    [InlineData("    public virtual T Get<T>(int x)")]
    [InlineData("        object o = typeof(int);")]
    [InlineData("    private List<int> _all;")]
    public void The_check_finds_what_it_is_for(string line) => Assert.Contains(Refused, refused => Regex.IsMatch(line, refused.Pattern));

    [Theory]
    [InlineData("    public override ushort Size => _size;")]
    [InlineData("        throw null!;")]
    [InlineData("    public bool Has(ulong feature) => (Features & feature) == feature;")]
    [InlineData("        24 => 1, 27 => 2,")]
    [InlineData("    internal static uint Offset(uint size) => size * 16;")]
    [InlineData("    public static ReadOnlySpan<byte> Name => [1, 2];")]
    [InlineData("    private const uint Length = 1;")]
    [InlineData("    public override IoStatus Get(BlockRequest request) => Check(request);")]
    public void The_check_lets_pass_what_is_fine(string line) => Assert.DoesNotContain(Refused, refused => Regex.IsMatch(line, refused.Pattern));
}
