// Faults in the used ring, in the answers of a disk, and in interrupts.
namespace VirtioSharp.Tests.Hostile;

/// <summary>U: the split used ring. K: virtio-blk. I: interrupts. R: life cycle.</summary>
public static class RingFaults
{
    private const uint ReadType = 0;

    /// <summary>The cases.</summary>
    public static IEnumerable<FaultCase> All =>
    [
        new("U01", "a used id is the queue size", Outcome.Breaks, scene => scene.Lie(() => scene.Queue.PushUsed(scene.Queue.Size, 0))),
        new("U02", "a used id is all ones", Outcome.Breaks, scene => scene.Lie(() => scene.Queue.PushUsed(uint.MaxValue, 0))),
        new("U03", "a used id is right in its low 16 bits only", Outcome.Breaks, scene => scene.Lie(() =>
            scene.Queue.PushUsed(0x10000u | scene.Disk.HeldBack[0].Head, 513)))
        { Ring = FaultRing.Split },
        new("U04", "a used id was never given", Outcome.Breaks, scene => scene.Lie(() => scene.Queue.PushUsed(scene.Queue.Size - 1u, 0))),
        new("U05", "the same buffer is used twice", Outcome.Breaks, scene => scene.Lie(() =>
        {
            ushort head = scene.Disk.HeldBack[0].Head;
            scene.Disk.Complete(0);
            scene.Queue.PushUsed(head, 513);
        })),
        new("U06", "a used id names the middle of a chain", Outcome.Breaks, scene => scene.Lie(() =>
            scene.Queue.PushUsed(scene.Disk.HeldBack[0].Head + 1u, 513))),
        new("U07", "the used index jumps beyond what is in flight", Outcome.Breaks, scene => scene.Lie(() => scene.Queue.Split.WriteUsedIndex(1000)))
        { Ring = FaultRing.Split },
        new("U08", "the used index goes backwards", Outcome.Breaks, scene => scene.Lie(() => scene.Queue.Split.WriteUsedIndex(0xFFFF)))
        { Ring = FaultRing.Split },
        new("U10", "the used index goes on before the entry is there", Outcome.Contained, scene => scene.Lie(() => scene.Queue.Split.WriteUsedIndex(1)))
        { Ring = FaultRing.Split },
        new("U11", "a used length is one too long", Outcome.Works, scene => scene.Queue.OnUsed = (id, length) => (id, length == 0 ? 2 : length + 1)),
        new("U12", "a used length is all ones", Outcome.Works, scene => scene.Queue.OnUsed = (id, _) => (id, uint.MaxValue)),
        new("U13", "a read was well, but nothing was written", Outcome.Fails, scene => scene.Queue.OnUsed = (id, _) => (id, 0)),
        new("U14", "a read was well, but a byte is missing", Outcome.Fails, scene =>
            scene.Queue.OnUsed = (id, length) => (id, length > 1 ? length - 2 : 0)) { Requirements = "SPLIT-USED-1 SPLIT-USED-2" },
        new("U17", "the device rewrites the descriptor table", Outcome.Works, scene =>
        {
            scene.Disk.IsTamperingAllowed = true;
            scene.WhileHeld(() => scene.Machine.FakeDma.Raw(scene.Queue.DescriptorArea, 16 * scene.Queue.Size).Fill(0xFF));
        }) { Ring = FaultRing.Split },
        new("U18", "the device rewrites the available ring", Outcome.Works, scene => scene.WhileHeld(() =>
            scene.Machine.FakeDma.Raw(scene.Queue.DriverArea + 4, 2 * scene.Queue.Size).Fill(0xFF)))
        { Ring = FaultRing.Split },
        new("U20", "the used flags are garbage", Outcome.Works, scene => scene.WhileHeld(() => scene.Queue.Split.WriteUsedFlags(0xFFFE)))
        { Requirements = "SPLIT-AVAILNOTIF-5", Ring = FaultRing.Split },
        new("U21a", "the available event is far ahead", Outcome.Works, scene => scene.WhileHeld(() => scene.Queue.Split.WriteAvailableEvent(32767)))
        { Ring = FaultRing.Split },
        new("U21b", "the available event is far behind", Outcome.Works, scene => scene.WhileHeld(() => scene.Queue.Split.WriteAvailableEvent(0x8000)))
        { Ring = FaultRing.Split },
        new("U23", "requests are done backwards", Outcome.Works, scene => scene.WhileHeld(() => scene.Disk.CompleteAll(backwards: true))),
        new("U25", "an entry is in the ring before DRIVER_OK", Outcome.Contained, scene =>
        {
            bool done = false;
            scene.Disk.IsTamperingAllowed = true;
            scene.Function.OnReadCommon = (_, _, value) =>
            {
                if (scene.Queue.IsEnabled && !done)
                {
                    done = true;
                    scene.Queue.PushUsed(0, 1025);
                }
                return value;
            };
        }),
        new("U27", "nothing is ever done", Outcome.TimesOut, scene => scene.Disk.HoldsBack = true),
        new("U29", "everything is done at once", Outcome.Works, scene => scene.WhileHeld(() => { })),
        new("K01", "a request is used, but its status was not written", Outcome.Fails, scene => scene.Disk.OnStatus = _ => null),
        new("K02a", "a status that does not exist: 3", Outcome.Fails, scene => scene.Disk.OnStatus = _ => 3),
        new("K02b", "a status that does not exist: 254", Outcome.Fails, scene => scene.Disk.OnStatus = _ => 254),
        new("K03", "every request fails", Outcome.Fails, scene => scene.Disk.OnStatus = _ => 1),
        new("K04", "no request is known", Outcome.Fails, scene => scene.Disk.Knows = _ => false),
        new("K04b", "reads are not known", Outcome.Fails, scene => scene.Disk.Knows = type => type != ReadType),
        new("I01", "interrupts with nothing behind them", Outcome.Works, scene => scene.WhileHeld(scene.Interrupt))
        { Requirements = "SPLIT-USEDNOTIF-5" },
        new("I01b", "a pin with an ISR status of 0", Outcome.Works, scene => scene.Function.OnReadIsr = _ => 0) { NeedsPin = true },
        new("I02", "a storm of interrupts", Outcome.Works, scene => scene.WhileHeld(() =>
        {
            for (int i = 0; i < 100_000; i++)
            {
                scene.Interrupt();
            }
        })),
        new("I05", "no interrupt ever arrives", Outcome.Works, scene => scene.Queue.LoseSignals = int.MaxValue),
        new("I05b", "a doorbell gets lost", Outcome.Works, scene => scene.Queue.LoseNotifications = 1),
        new("I06", "both bits of the ISR status are always set", Outcome.Works, scene => scene.Function.OnReadIsr = _ => 3) { NeedsPin = true },
        new("I07", "the ISR status is all ones", Outcome.Works, scene => scene.Function.OnReadIsr = _ => 0xFF) { NeedsPin = true },
        new("I09", "a configuration interrupt without a change", Outcome.Works, scene => scene.WhileHeld(scene.Function.RaiseConfig)),
        new("I03", "an interrupt comes before DRIVER_OK", Outcome.Works, scene => scene.Function.OnReadCommon = (_, _, value) =>
        {
            if (scene.Queue.IsEnabled && scene.Disk.Status == 11)
            {
                scene.Interrupt();
            }
            return value;
        }),
        new("I08", "interrupts of another device on the same pin", Outcome.Works, scene => scene.WhileHeld(() =>
        {
            for (int i = 0; i < 10; i++)
            {
                scene.Function.RaiseQueue(scene.Queue.Vector, isr: 0);
            }
        })) { NeedsPin = true },
        new("I10", "the interrupt comes before the used index, and none afterwards", Outcome.Works, scene => scene.WhileHeld(() =>
        {
            scene.Interrupt();
            scene.Queue.LoseSignals = int.MaxValue;
        })),
        new("I11", "the interrupt comes on another vector", Outcome.Works, scene => scene.WhileHeld(() =>
        {
            scene.Queue.LoseSignals = int.MaxValue;
            scene.Function.RaiseQueue(3);
        })) { NeedsMsix = true },
        new("I12", "the machine has no message left", Outcome.Works, scene => scene.Machine.Messages = 0) { NeedsMsix = true },
        new("R01", "the device is pulled with requests in flight", Outcome.Breaks, scene => scene.WhileHeld(
            () => scene.Machine.Pull(scene.AnyFunction), letGo: false)),
        new("R11", "the registers vanish after they were mapped, with requests in flight", Outcome.Breaks, scene => scene.WhileHeld(
            () =>
            {
                scene.Function.OnReadCommon = (_, _, _) => uint.MaxValue;
                scene.Function.OnWriteCommon = (_, _, _) => true;
            },
            letGo: false)) { MayLeak = true },
    ];
}
