// One line of input, edited as people expect.
using System.Threading.Tasks;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Reads lines: backspace and delete, left and right, home and end, history with up and down, Ctrl-C and Ctrl-U.</summary>
public sealed class LineEditor
{
    private const int MaxLength = 256;
    private const int HistoryLength = 16;

    private readonly Seat _seat;
    private readonly char[] _line = new char[MaxLength];
    private readonly string[] _history = new string[HistoryLength];
    private int _historyCount;
    private int _length;
    private int _cursor;
    private int _browsed;
    private bool _afterReturn;

    /// <summary>Edits on a seat.</summary>
    public LineEditor(Seat seat) => _seat = seat;

    /// <summary>True when the input has ended: no line will follow.</summary>
    public bool IsEnded { get; private set; }

    /// <summary>Reads a line after showing <paramref name="prompt"/>; empty after Ctrl-C.</summary>
    public async ValueTask<string> ReadLineAsync(string prompt)
    {
        Terminal output = _seat.Output;
        output.Write(prompt);
        _length = 0;
        _cursor = 0;
        _browsed = _historyCount;
        while (true)
        {
            int key = await ReadKeyAsync();
            if (key < 0)
            {
                IsEnded = true;
                return "";
            }
            bool secondHalf = key == '\n' && _afterReturn;
            _afterReturn = key == '\r';
            if (secondHalf)
            {
                continue;
            }
            if (key is '\r' or '\n')
            {
                output.EndLine();
                string line = new(_line, 0, _length);
                Remember(line);
                return line;
            }
            if (key == 3)
            {
                output.Write("^C\n");
                return "";
            }
            if (key == 27)
            {
                await ReadEscapeAsync();
                continue;
            }
            Edit(key);
        }
    }

    /// <summary>Shows what was written, then waits for a key.</summary>
    private async ValueTask<int> ReadKeyAsync()
    {
        await _seat.Output.FlushAsync();
        return await _seat.Input.ReadByteAsync();
    }

    /// <summary>Reads a control sequence to its end, also one that means nothing here: ESC [ parameters letter.</summary>
    private async ValueTask ReadEscapeAsync()
    {
        int code = await ReadKeyAsync();
        if (code != '[' && code != 'O')
        {
            return;
        }
        int parameter = 0;
        code = await ReadKeyAsync();
        while (code is >= 0x20 and < 0x40)
        {
            parameter = code is >= '0' and <= '9' ? (parameter * 10 + code - '0') % 1000 : parameter;
            code = await ReadKeyAsync();
        }
        Move(code, parameter);
    }

    private void Move(int code, int parameter)
    {
        switch (code)
        {
            case 'A':
                Browse(-1);
                break;
            case 'B':
                Browse(1);
                break;
            case 'C':
                MoveTo(_cursor + 1);
                break;
            case 'D':
                MoveTo(_cursor - 1);
                break;
            case 'H':
            case '~' when parameter is 1 or 7:
                MoveTo(0);
                break;
            case 'F':
            case '~' when parameter is 4 or 8:
                MoveTo(_length);
                break;
            case '~' when parameter == 3:
                RemoveAt(_cursor);
                break;
        }
    }

    private void Edit(int key)
    {
        switch (key)
        {
            case 8 or 127:
                if (_cursor > 0)
                {
                    MoveTo(_cursor - 1);
                    RemoveAt(_cursor);
                }
                break;
            case 1:
                MoveTo(0);
                break;
            case 5:
                MoveTo(_length);
                break;
            case 21:
                Replace("");
                break;
            case >= 32 and < 127:
                Insert((char)key);
                break;
        }
    }

    private void Insert(char c)
    {
        if (_length == MaxLength)
        {
            return;
        }
        for (int i = _length; i > _cursor; i--)
        {
            _line[i] = _line[i - 1];
        }
        _line[_cursor] = c;
        _length++;
        ShowFrom(_cursor);
        MoveTo(_cursor + 1, shown: _length);
    }

    private void RemoveAt(int index)
    {
        if (index >= _length)
        {
            return;
        }
        _length--;
        for (int i = index; i < _length; i++)
        {
            _line[i] = _line[i + 1];
        }
        ShowFrom(index);
        _seat.Output.Write(" ");
        MoveTo(index, shown: _length + 1);
    }

    private void Replace(string text)
    {
        MoveTo(0);
        int old = _length;
        _length = Math.Min(text.Length, MaxLength);
        for (int i = 0; i < _length; i++)
        {
            _line[i] = text[i];
        }
        ShowFrom(0);
        for (int i = _length; i < old; i++)
        {
            _seat.Output.Write(" ");
        }
        MoveTo(_length, shown: Math.Max(old, _length));
    }

    private void ShowFrom(int index)
    {
        for (int i = index; i < _length; i++)
        {
            _seat.Output.WriteByte((byte)_line[i]);
        }
    }

    private void MoveTo(int index) => MoveTo(index, shown: _cursor);

    /// <summary>Moves the cursor from column <paramref name="shown"/>, where the terminal's is, to <paramref name="index"/>.</summary>
    private void MoveTo(int index, int shown)
    {
        index = Math.Max(0, Math.Min(index, _length));
        for (; shown > index; shown--)
        {
            _seat.Output.WriteByte((byte)'\b');
        }
        for (; shown < index; shown++)
        {
            _seat.Output.WriteByte((byte)_line[shown]);
        }
        _cursor = index;
    }

    private void Browse(int step)
    {
        int wanted = _browsed + step;
        if (wanted < 0 || wanted > _historyCount || _historyCount - wanted > HistoryLength)
        {
            return;
        }
        _browsed = wanted;
        Replace(wanted == _historyCount ? "" : _history[wanted % HistoryLength]);
    }

    private void Remember(string line)
    {
        if (line.Length != 0 && (_historyCount == 0 || _history[(_historyCount - 1) % HistoryLength] != line))
        {
            _history[_historyCount++ % HistoryLength] = line;
        }
    }
}
