// One queue of a vhost-user backend: what QEMU has said of it, and its ring while it runs.
namespace VirtioSharp.Tests.Vhost;

/// <summary>Size, place, doorbell and interrupt of a queue.</summary>
internal sealed unsafe class VhostQueue(int index)
{
    /// <summary>Its number.</summary>
    internal int Index => index;

    /// <summary>How many descriptors it has.</summary>
    internal int Size { get; set; }

    /// <summary>Where QEMU says that it is to begin.</summary>
    internal uint Base { get; set; }

    /// <summary>Where the descriptors are, in QEMU's address space.</summary>
    internal ulong Descriptors { get; set; }

    /// <summary>Where the available ring or the driver's events are, in QEMU's address space.</summary>
    internal ulong Driver { get; set; }

    /// <summary>Where the used ring or the device's events are, in QEMU's address space.</summary>
    internal ulong Device { get; set; }

    /// <summary>The doorbell, or -1.</summary>
    internal int Kick { get; private set; } = -1;

    /// <summary>The interrupt, or -1.</summary>
    internal int Call { get; private set; } = -1;

    /// <summary>True when QEMU lets it be used.</summary>
    internal bool IsEnabled { get; set; }

    /// <summary>The ring; null while the queue is stopped.</summary>
    internal VhostRing? Ring { get; set; }

    /// <summary>True when nothing is taken from it until it is started again.</summary>
    internal bool IsDeaf { get; set; }

    /// <summary>How often it was started.</summary>
    internal int Starts { get; set; }

    /// <summary>The ring; a case that needs it while the queue is stopped is wrong.</summary>
    internal VhostRing Running => Ring ?? throw new InvalidOperationException("the queue is stopped");

    /// <summary>The ring, of a case for split rings.</summary>
    internal VhostSplitRing Split => (VhostSplitRing)Running;

    /// <summary>The ring, of a case for packed rings.</summary>
    internal VhostPackedRing Packed => (VhostPackedRing)Running;

    /// <summary>Takes another file as doorbell.</summary>
    internal void SetKick(int file)
    {
        Close(Kick);
        Kick = file;
    }

    /// <summary>Takes another file as interrupt.</summary>
    internal void SetCall(int file)
    {
        Close(Call);
        Call = file;
    }

    /// <summary>Empties the doorbell, and says how often it was rung: several times are seen as one by a device that is slow.</summary>
    internal ulong TakeKick()
    {
        ulong count = 0;
        Native.Read(Kick, &count, sizeof(ulong));
        return count;
    }

    /// <summary>Interrupts the guest, whatever its ring says.</summary>
    internal void Signal()
    {
        ulong one = 1;
        if (Call >= 0)
        {
            Native.Write(Call, &one, sizeof(ulong));
        }
    }

    /// <summary>Nobody is at the other end any more.</summary>
    internal void Forget()
    {
        SetKick(-1);
        SetCall(-1);
        Ring = null;
        IsEnabled = false;
    }

    private static void Close(int file)
    {
        if (file >= 0)
        {
            Native.Close(file);
        }
    }
}
