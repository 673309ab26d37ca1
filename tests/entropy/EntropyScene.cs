// A fake machine with a source of random bytes in service, and what its tests do over and over.
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Entropy;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Entropy;

/// <summary>The stage. Its end is part of each test: nothing may be lent, leaked or broken.</summary>
public sealed class EntropyScene : IDisposable
{
    /// <summary>Makes the machine and binds the driver.</summary>
    public EntropyScene(bool packed = false)
    {
        Device.OfferedFeatures |= packed ? FakeVirtioDevice.RingPacked : 0;
        Function = Machine.Plug(Device);
        Source = FakeBinding.AttachOne<VirtioRng>(Machine);
    }

    /// <summary>The machine.</summary>
    public FakeMachine Machine { get; } = new();

    /// <summary>The device's side.</summary>
    public FakeEntropyDevice Device { get; } = new();

    /// <summary>The device's function.</summary>
    public FakeVirtioPciDevice Function { get; }

    /// <summary>The driver.</summary>
    public VirtioRng Source { get; }

    /// <summary>True when memory may be given up: the device never came out of reset.</summary>
    public bool MayLeak { get; set; }

    /// <summary>Bytes that are not zero, no two runs of eight the same.</summary>
    public static byte[] Bytes(int length, int seed = 0)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Submits a request, which is taken.</summary>
    public TestEntropyRequest Submit(int length)
    {
        TestEntropyRequest request = new(length);
        Assert.Equal(IoStatus.Ok, Source.Submit(request));
        return request;
    }

    /// <summary>Waits as the run loop does.</summary>
    public void Until(Func<bool> done, string what) => Waiting.Until(Source, Machine.Clock, done, what);

    /// <summary>Waits for the end of a request, which comes once.</summary>
    public void Finish(TestEntropyRequest request, IoStatus expected = IoStatus.Ok)
    {
        Until(() => request.Completions > 0, "the end of a request");
        Assert.Equal((expected, 1), (request.Status, request.Completions));
    }

    /// <summary>Asks for some bytes that the host has, and gets them.</summary>
    public void Works()
    {
        byte[] given = Bytes(100, seed: 77);
        Device.Give(given);
        TestEntropyRequest request = Submit(100);
        Finish(request);
        Assert.Equal(given, request.Bytes);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            Source.Remove();
            Machine.Violations.AssertEmpty();
            Assert.Equal(0, Machine.HandlerCount);
            if (!MayLeak)
            {
                Machine.AssertNothingLeaked();
            }
        }
        finally
        {
            Machine.Dispose();
        }
    }
}
