// Fuzzing of a source of random bytes: short answers, empty ones, claims of what was never written, and moments.
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Entropy;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fuzz;

/// <summary>Each request ends once, keeps to its room, and got what it wanted when it ended well.</summary>
internal static class EntropyTargets
{
    private const int MostRequests = 10;

    /// <summary>One run.</summary>
    public static void Run(byte[] bytes)
    {
        FuzzInput input = new(bytes);
        byte first = input.Next8();
        FakeMachine machine = new();
        try
        {
            FakeEntropyDevice device = new((ushort)(1 << (first >> 4 & 3))) { IsTamperingAllowed = true };
            device.OfferedFeatures |= (first & 1) != 0 ? FakeVirtioDevice.RingPacked : 0;
            device.OfferedFeatures &= ~((first & 2) != 0 ? FakeVirtioDevice.EventIndex : 0);
            machine.FakeDma.Shares = (first & 4) == 0;
            device.AfterReset = () => device.IsHeld = false;
            device.OnWrite = length => Lie(input) ? Math.Min((int)input.Next8(), length) : length;
            device.OnAnswer = length => Lie(input) ? input.NextInteresting(length) : length;
            Use(machine, device, FakeBinding.AttachMmio<VirtioRng>(machine, device, 2), input);
        }
        finally
        {
            machine.Dispose();
        }
    }

    private static void Use(FakeMachine machine, FakeEntropyDevice device, VirtioRng source, FuzzInput input)
    {
        List<TestEntropyRequest> taken = [];
        bool isRemoved = false;
        void Remove()
        {
            if (!isRemoved)
            {
                isRemoved = true;
                source.Remove();
            }
        }
        for (int step = 0; step < 48 && !input.IsEmpty && !isRemoved; step++)
        {
            byte what = input.Next8();
            int how = what >> 3;
            FakeVirtqueue queue = device.Queues[0];
            switch (what & 7)
            {
                case 0 or 1 when taken.Count < MostRequests:
                    TestEntropyRequest request = new((how & 1) == 0 ? how + 1 : how * 61) { Then = _ => React(input, Remove) };
                    if (source.Submit(request) == IoStatus.Ok)
                    {
                        taken.Add(request);
                    }
                    break;
                case 2:
                    byte[] some = new byte[1 + how * 37];
                    Array.Fill(some, (byte)(what | 1));
                    device.Give(some);
                    break;
                case 3:
                    machine.Run();
                    break;
                case 4:
                    source.Poll();
                    break;
                case 5:
                    machine.FakeClock.Advance(how == 31 ? 40_000_000_000ul : 10_000_000);
                    source.OnDeadline(machine.Clock.Now);
                    break;
                case 6 when how == 31 && device.IsLive:
                    device.AskForReset();
                    break;
                case 6:
                    device.EmptyAnswers = how & 3;
                    device.MostAtOnce = (how & 4) != 0 ? 1 + how : int.MaxValue;
                    queue.LoseSignals = how >> 3 & 1;
                    break;
                case 7 when queue.IsEnabled && queue.Held > 0:
                    device.IsHeld = true; // until it is reset: the fake and the driver disagree on the ring now
                    queue.PushUsed(input.NextInteresting(queue.Size), input.NextInteresting(512));
                    break;
            }
        }
        Remove();
        foreach (TestEntropyRequest request in taken)
        {
            Assert.True(request.Completions == 1 && request.KeptToItsRoom, $"a request ended {request.Completions} times, or wrote beside its room");
            Assert.True(request.Status != IoStatus.Ok || request.Received == request.Length, "a request ended well with less than it wanted");
        }
        machine.AssertNothingLeaked();
    }

    private static void React(FuzzInput input, Action remove)
    {
        if (input.Next8() == 0xFF)
        {
            remove();
        }
    }

    private static bool Lie(FuzzInput input) => (input.Next8() & 7) == 7;
}
