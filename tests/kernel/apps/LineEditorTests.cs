// A person who types: what the line becomes, and what the screen shows.
using System.Text;
using System.Threading.Tasks;
using VirtioSharp.Kernel.Apps;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Apps;

public sealed class LineEditorTests
{
    private readonly Screen _screen = new();
    private readonly Keys _keys = new();
    private readonly LineEditor _editor;

    public LineEditorTests() => _editor = new LineEditor(new Seat(_keys, _screen));

    [Theory]
    [InlineData("help", "help")]
    [InlineData("helo\b\blp", "help")]
    [InlineData("\b\b\x7f", "")]
    [InlineData("hlp\x1b[D\x1b[De", "help")]
    [InlineData("elp\x1b[Hh", "help")]
    [InlineData("elp\x01h", "help")]
    [InlineData("hel\x01\x05p", "help")]
    [InlineData("hel\x1bOH\x1bOFp", "help")]
    [InlineData("xhelp\x1b[H\x1b[3~", "help")]
    [InlineData("elp\x1b[1~h\x1b[4~!", "help!")]
    [InlineData("help\x1b[3~\x1b[C\x1b[C", "help")]
    [InlineData("\x1b[D\x1b[D\x1b[3~help", "help")]
    [InlineData("help\x1b[1;5D\x1b[200~", "help")]
    [InlineData("something else\x15help", "help")]
    [InlineData("he\tl\x02p\u00e9", "help")]
    public void The_line_is_what_was_meant_and_the_screen_shows_it(string typed, string line)
    {
        Assert.Equal(line, Type(typed + "\r"));
        Assert.Equal(("> " + line).TrimEnd(), _screen.Lines[0].TrimEnd());
    }

    [Fact]
    public void Control_C_gives_the_line_up()
    {
        Assert.Equal("", Type("rubbish\x03"));
        Assert.Equal("help", Type("help\r"));
    }

    [Fact]
    public void Return_and_line_feed_end_one_line_and_line_feed_alone_ends_one_too()
    {
        _keys.Add("one\r\ntwo\nthree\r\r\n");
        Assert.Equal("one", Read());
        Assert.Equal("two", Read());
        Assert.Equal("three", Read());
        Assert.Equal("", Read());
        Assert.Equal(1, _keys.Left); // the line feed of the last return, which is dropped by who reads on
    }

    [Fact]
    public void Up_and_down_go_through_what_was_typed_before()
    {
        Type("first\r");
        Type("second\r");
        Type("second\r");
        Type("\r");
        Assert.Equal("second", Type("\x1b[A\r"));
        Assert.Equal("first", Type("\x1b[A\x1b[A\x1b[A\x1b[A\r"));
        Assert.Equal("first", Type("\x1b[A\x1b[A\x1b[B\r"));
        Assert.Equal("", Type("half\x1b[A\x1b[B\r"));
        Assert.Equal("firstly", Type("\x1b[A\x1b[A\x1b[Aly\r"));
    }

    [Fact]
    public void Only_the_last_sixteen_lines_are_kept()
    {
        for (int i = 0; i < 40; i++)
        {
            Type($"line {i}\r");
        }
        Assert.Equal("line 24", Type(string.Concat(Enumerable.Repeat("\x1b[A", 30)) + "\r"));
    }

    [Fact]
    public void A_line_that_is_too_long_takes_no_more()
    {
        string line = Type(new string('x', 1000) + "\r");
        Assert.Equal(new string('x', 256), line);
    }

    [Theory]
    [InlineData("")]
    [InlineData("half a li")]
    [InlineData("\x1b")]
    [InlineData("\x1b[")]
    [InlineData("\x1b[12")]
    public void The_end_of_the_input_is_the_end(string typed)
    {
        _keys.Ends = true;
        Assert.Equal("", Type(typed));
        Assert.True(_editor.IsEnded);
    }

    [Fact]
    public async Task A_line_waits_for_its_keys()
    {
        ValueTask<string> line = _editor.ReadLineAsync("> ");
        foreach (char key in "help")
        {
            Assert.False(line.IsCompleted);
            Press(key);
        }
        Assert.False(line.IsCompleted);
        Press('\r');
        Assert.True(line.IsCompleted);
        Assert.Equal("help", await line);
    }

    private string Type(string keys)
    {
        _keys.Add(keys);
        return Read();
    }

    private string Read()
    {
        ValueTask<string> line = _editor.ReadLineAsync("> ");
        Assert.True(line.IsCompleted, "the line is not complete");
        return line.Result;
    }

    /// <summary>What the run loop does when a byte has come.</summary>
    private void Press(char key)
    {
        _keys.Add(key.ToString());
        _keys.Wake();
    }

    private sealed class Keys : ByteSource
    {
        private readonly Queue<byte> _bytes = new();

        internal bool Ends { get; set; }

        internal int Left => _bytes.Count;

        public override bool IsEnded => Ends && _bytes.Count == 0;

        public override bool IsReadable => _bytes.Count != 0;

        public override bool TryRead(out byte value) => _bytes.TryDequeue(out value);

        internal void Add(string keys)
        {
            foreach (byte each in Encoding.Latin1.GetBytes(keys))
            {
                _bytes.Enqueue(each);
            }
        }

        internal void Wake()
        {
            Action? waiting = Waiting;
            Waiting = null;
            waiting?.Invoke();
        }
    }

    /// <summary>A terminal that knows return, line feed and backspace.</summary>
    private sealed class Screen : Terminal
    {
        private int _column;

        internal List<StringBuilder> Rows { get; } = [new()];

        internal string[] Lines => [.. Rows.Select(row => row.ToString())];

        public override void WriteByte(byte value)
        {
            StringBuilder row = Rows[^1];
            switch (value)
            {
                case (byte)'\r':
                    _column = 0;
                    break;
                case (byte)'\n':
                    Rows.Add(new StringBuilder());
                    break;
                case (byte)'\b':
                    Assert.True(_column > 0, "the cursor leaves the screen");
                    _column--;
                    break;
                default:
                    Assert.InRange(value, 0x20, 0x7E);
                    row.Length = Math.Max(row.Length, _column + 1);
                    row[_column++] = (char)value;
                    break;
            }
        }
    }
}
