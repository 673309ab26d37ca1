// Faults in interrupts: too many, too few, at the wrong time, or for somebody else.
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>I: interrupts, with whatever vector, message, pin or line.</summary>
public static class InterruptFaults
{
    /// <summary>The cases.</summary>
    public static IEnumerable<HostileCase> All => Cases.Select(fault => fault with { IsAboutRings = true, IsPlayedBare = true });

    private static IEnumerable<HostileCase> Cases =>
    [
        new("I01", "interrupts with nothing behind them", Outcome.Works, scene => scene.WhileHeld(() => scene.Interrupt()))
        { Ways = Ways.Some, Requirements = "SPLIT-USEDNOTIF-5" },
        new("I01b", "interrupts with an ISR status of 0", Outcome.Works, scene => scene.Show(Register.InterruptStatus, 0))
        { Machines = Machines.Pci, Ways = Ways.WithStatus },
        new("I02", "a storm of interrupts", Outcome.Works, scene => scene.WhileHeld(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                scene.Interrupt();
            }
        })) { Ways = Ways.Some },
        new("I02b", "a storm of 100000 interrupts", Outcome.Works, scene => scene.WhileHeld(() =>
        {
            for (int i = 0; i < 100_000; i++)
            {
                scene.Interrupt();
            }
        })) { Machines = Machines.ModernPci, Rings = Rings.Event, Ways = Ways.MsiX },
        new("I03", "an interrupt comes before DRIVER_OK", Outcome.Works, scene => scene.BeforeDriverOk(() => scene.Interrupt())) { Ways = Ways.Some },
        new("I05", "no interrupt ever arrives", Outcome.Works, scene => scene.Queue.LoseSignals = int.MaxValue) { Ways = Ways.Some },
        new("I05b", "a doorbell gets lost", Outcome.Works, scene => scene.Queue.LoseNotifications = 1),
        new("I06", "both bits of the ISR status are always set", Outcome.Works, scene => scene.Show(Register.InterruptStatus, 3)) { Ways = Ways.WithStatus },
        new("I07", "the ISR status is all ones", Outcome.Works, scene => scene.Show(Register.InterruptStatus, 0xFF)) { Ways = Ways.WithStatus },
        new("I08", "interrupts of another device on the same pin", Outcome.Works, scene => scene.WhileHeld(() =>
        {
            for (int i = 0; i < 10; i++)
            {
                Assert.Equal(0, scene.Machine.DeliverFromNeighbour(scene.AnyFunction!));
            }
        })) { Machines = Machines.Pci, Ways = Ways.Pin },
        new("I09", "a configuration interrupt without a change", Outcome.Works, scene => scene.WhileHeld(scene.Disk.Bus.RaiseConfig)) { Ways = Ways.Some },
        new("I10", "the interrupt comes before the used index, and none afterwards", Outcome.Works, scene => scene.WhileHeld(() =>
        {
            scene.Interrupt();
            scene.Queue.LoseSignals = int.MaxValue;
        })) { Ways = Ways.Some },
        new("I11", "the interrupt comes on another vector", Outcome.Works, scene => scene.WhileHeld(() =>
        {
            scene.Queue.LoseSignals = int.MaxValue;
            scene.Function.RaiseQueue(3);
        })) { Machines = Machines.ModernPci, Ways = Ways.MsiX },
        new("I12", "the machine has no message left", Outcome.Works, scene => scene.Machine.Messages = 0) { Ways = Ways.MsiX | Ways.Msi },
    ];
}
