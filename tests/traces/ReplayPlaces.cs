// Lines of two runs compared: memory has other addresses and other names in each.
namespace VirtioSharp.Tests.Traces;

/// <summary>
/// Memory of applications is called by the names that were agreed on, and every offset counts. Of the driver's own memory no two buffers in flight may
/// have a part in common here that they had not there, or the other way round; which part a buffer gets is the driver's business.
/// </summary>
internal sealed class ReplayPlaces
{
    private readonly Dictionary<string, string> _application = [];
    private readonly Dictionary<string, string> _here = [];
    private readonly Dictionary<string, string> _there = [];
    private readonly Dictionary<string, List<string>> _inFlight = [];

    /// <summary>Says that memory of the application has one name there and another here.</summary>
    internal void Name(string there, string here) => _application[there] = here;

    /// <summary>True when both lines say the same; long contents are not compared, nor is what a device wrote.</summary>
    internal bool IsSame(TraceEvent there, TraceEvent here)
    {
        if (there.Words[0] != here.Words[0])
        {
            return false;
        }
        if (there.Kind == TraceKind.Used)
        {
            bool isSame = there.Words.Take(5).SequenceEqual(here.Words.Take(5));
            Land(KeyOf(there));
            return isSame;
        }
        if (there.Value == "0x0" && there.Words[1] is "device_status" or "Status")
        {
            foreach (string buffer in _inFlight.Keys.ToArray())
            {
                Land(buffer);
            }
        }
        if (there.Words.Length != here.Words.Length)
        {
            return false;
        }
        for (int i = 0; i < there.Words.Length; i++)
        {
            if (!IsSame(there.Words[i], here.Words[i], there))
            {
                return false;
            }
        }
        return true;
    }

    private static string KeyOf(TraceEvent line) => line.Words[1] + " " + line.Words[2];

    private bool IsSame(string there, string here, TraceEvent line)
    {
        if (there.Length > 1 && there[0] == 'm' && char.IsAsciiDigit(there[1]))
        {
            return IsSamePlace(there.Split(':'), here.Split(':'), line);
        }
        return there == here || (there[0] == '#' && here[0] == '#');
    }

    private bool IsSamePlace(string[] there, string[] here, TraceEvent line)
    {
        if (there.Length != here.Length || (there.Length > 1 && there[1] != here[1]))
        {
            return false;
        }
        string[] apart = there[0].Split('+');
        if (_application.TryGetValue(apart[0], out string? name))
        {
            return here[0] == name + "+" + apart[1];
        }
        bool isNew = _here.TryAdd(there[0], here[0]) & _there.TryAdd(here[0], there[0]);
        if (isNew && line.Words[0] == "avail")
        {
            if (!_inFlight.TryGetValue(KeyOf(line), out List<string>? places))
            {
                _inFlight.Add(KeyOf(line), places = []);
            }
            places.Add(there[0]);
        }
        return isNew || (_here.TryGetValue(there[0], out string? known) && known == here[0] && _there[here[0]] == there[0]);
    }

    private void Land(string buffer)
    {
        if (_inFlight.Remove(buffer, out List<string>? places))
        {
            foreach (string place in places)
            {
                _there.Remove(_here[place]);
                _here.Remove(place);
            }
        }
    }
}
