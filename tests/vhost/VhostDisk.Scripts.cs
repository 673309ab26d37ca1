// A disk behind a vhost-user socket: the words in which scripts say what it does wrong, and when.
namespace VirtioSharp.Tests.Vhost;

internal sealed partial class VhostDisk
{
    /// <summary>Does something else with the request of this number, once; without <c>Finish</c> it is never answered.</summary>
    internal void At(int number, Action<VhostRequest> what) => OnRequest = request =>
    {
        if (request.Number != number)
        {
            return false;
        }
        Deeds++;
        what(request);
        return true;
    };

    /// <summary>Does something else with each request from this number on.</summary>
    internal void From(int number, Action<VhostRequest> what) => OnRequest = request =>
    {
        if (request.Number < number)
        {
            return false;
        }
        Deeds++;
        what(request);
        return true;
    };

    /// <summary>
    /// Keeps the requests of the first burst, numbers 2 to 9, until it has all of them, and does something then, once; they are kept
    /// afterwards unless <see cref="FinishHeld"/> lets them go.
    /// </summary>
    internal void WhileHeld(Action<VhostQueue> what)
    {
        const int First = 2;
        const int Count = 8;
        OnRequest = request =>
        {
            if (Deeds != 0 || request.Number is < First or >= First + Count)
            {
                return false;
            }
            Held.Add(request);
            if (Held.Count == Count)
            {
                Deeds++;
                what(request.Queue);
            }
            return true;
        };
    }

    /// <summary>With the requests of the first burst in flight the device does something, and interrupts.</summary>
    internal void Lie(Action<VhostQueue> what) => WhileHeld(queue =>
    {
        what(queue);
        queue.Signal();
    });

    /// <summary>With the requests of the first burst in flight the device does something, and answers all of them.</summary>
    internal void Bear(Action<VhostQueue> what) => WhileHeld(queue =>
    {
        what(queue);
        FinishHeld();
    });

    /// <summary>Does everything that is kept.</summary>
    internal void FinishHeld(bool backwards = false)
    {
        VhostRequest[] held = [.. Held];
        Held.Clear();
        foreach (VhostRequest request in backwards ? held.Reverse() : held)
        {
            Finish(request);
        }
    }

    /// <summary>Does what a request asks for, and answers with another status (null: none), id or length.</summary>
    internal void FinishWith(VhostRequest request, byte? status = VhostRequest.Ok, Func<uint, uint>? length = null)
    {
        request.Execute();
        if (status is not null)
        {
            request.WriteStatus(status.Value);
        }
        request.Ring.Push(request.Chain.Id, length is null ? request.HonestLength : length(request.HonestLength), request.Chain.Descriptors);
    }

    /// <summary>Changes the configuration and says so; the device does not show when QEMU has told the guest of it.</summary>
    internal void Resize(ulong sectors)
    {
        Set64(CapacityField, sectors);
        Backend.TellOfConfig();
    }
}
