// Where the virtio-mmio devices of this machine are.
namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// The options <c>virtio_mmio.device=</c> of the command line; without one, those that QEMU's microvm would append to it, which a boot
/// protocol may have missed; without those, the devices of the ACPI tables.
/// </summary>
internal sealed class MmioPlaces
{
    private const string Option = "virtio_mmio.device=";
    private const int MaxPlaces = 64;

    private readonly MmioPlace[] _places = new MmioPlace[MaxPlaces];

    private MmioPlaces()
    {
    }

    /// <summary>How many there are.</summary>
    internal int Count { get; private set; }

    /// <summary>What could not be read; empty when all could.</summary>
    internal string Error { get; private set; } = "";

    internal MmioPlace this[int index] => _places[index];

    /// <summary>Collects the places.</summary>
    internal static MmioPlaces Find(string commandLine, Acpi acpi)
    {
        MmioPlaces places = new();
        places.ReadCommandLine(commandLine);
        if (places.Count == 0)
        {
            ReadOnlySpan<MmioPlace> described = acpi.Devices.Places;
            for (int i = 0; i < described.Length; i++)
            {
                places.Add(described[i]);
            }
        }
        if (places.Count == 0 && !acpi.Found)
        {
            places.ReadCommandLine(FirmwareConfiguration.ReadCommandLine());
        }
        return places;
    }

    private void ReadCommandLine(string line)
    {
        int start = 0;
        while (start < line.Length)
        {
            int end = start;
            while (end < line.Length && !char.IsWhiteSpace(line[end]))
            {
                end++;
            }
            if (end - start > Option.Length && line.Substring(start, Option.Length) == Option)
            {
                string value = line.Substring(start + Option.Length, end - start - Option.Length);
                if (MmioPlace.TryParse(value, out MmioPlace place))
                {
                    Add(place);
                }
                else
                {
                    Error = value;
                }
            }
            start = end + 1;
        }
    }

    private void Add(in MmioPlace place)
    {
        if (Count < MaxPlaces)
        {
            _places[Count++] = place;
        }
    }
}
