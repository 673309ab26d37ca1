// The shell: reads commands and runs them, on the serial line, on a virtio console, or from the kernel's command line.
using System.Threading.Tasks;
using VirtioSharp.Kernel.Machine;

namespace VirtioSharp.Kernel.Apps;

/// <summary>One shell on one seat. A command that fails says why, and the shell goes on.</summary>
public sealed class Shell
{
    private readonly Commands _commands;
    private readonly Seat _seat;

    /// <summary>Makes a shell.</summary>
    public Shell(Commands commands, Seat seat)
    {
        _commands = commands;
        _seat = seat;
    }

    /// <summary>Reads and runs lines until the input ends.</summary>
    public async ValueTask RunAsync()
    {
        LineEditor editor = new(_seat);
        while (!editor.IsEnded)
        {
            string line = await editor.ReadLineAsync("> ");
            await RunLineAsync(line);
        }
    }

    /// <summary>Runs the commands of a line, apart by semicolons; false when one failed. The rest is run nevertheless.</summary>
    public async ValueTask<bool> RunLineAsync(string line)
    {
        bool all = true;
        string[] parts = line.Split(';');
        for (int i = 0; i < parts.Length; i++)
        {
            string[] words = SplitWords(parts[i]);
            if (words.Length != 0 && !await _commands.RunAsync(words, _seat.Output))
            {
                all = false;
            }
            await _seat.Output.FlushAsync();
        }
        return all;
    }

    /// <summary>The words of a command, apart by blanks.</summary>
    public static string[] SplitWords(string text)
    {
        string[] pieces = text.Split(' ');
        int count = 0;
        for (int i = 0; i < pieces.Length; i++)
        {
            pieces[i] = pieces[i].Trim();
            count += pieces[i].Length != 0 ? 1 : 0;
        }
        string[] words = new string[count];
        count = 0;
        for (int i = 0; i < pieces.Length; i++)
        {
            if (pieces[i].Length != 0)
            {
                words[count++] = pieces[i];
            }
        }
        return words;
    }
}
