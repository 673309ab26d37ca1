// A device that works at the same time as the driver, and gives back whatever it is lent before the driver has done.
using VirtioSharp.Drivers.Console;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Console;

/// <summary>A packed ring shows each buffer at once: there the device may answer for as long as the driver lends. A look has to end nevertheless.</summary>
public sealed class VirtioConsoleTurnTests
{
    private const int Patience = 20_000;

    [Theory]
    [InlineData(0, 0u)]
    [InlineData(2, 0u)]
    [InlineData(2, 8u)]
    public void A_look_ends_at_a_device_that_answers_faster_than_it_is_looked_at(int number, uint length)
    {
        using FakeMachine machine = new();
        FakeConsoleDevice device = new(ports: number == 0 ? 0 : 1) { IsTamperingAllowed = true };
        device.OfferedFeatures |= FakeVirtioDevice.RingPacked;
        machine.Plug(device);
        VirtioConsole console = FakeBinding.AttachOne<VirtioConsole>(machine);
        FakeVirtqueue queue = device.Queues[number];
        int answers = 0;
        void Answer()
        {
            while (answers < Patience && queue.Take() is FakeChain chain)
            {
                answers++;
                queue.Use(chain, length);
            }
        }
        Answer();
        machine.FakeDma.AfterShare = Answer;
        console.Poll();
        Assert.InRange(answers, 16, Patience - 1);
        machine.FakeDma.AfterShare = null;
        console.Remove();
        machine.AssertNothingLeaked();
    }
}
