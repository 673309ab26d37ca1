// A disk as simple as it can be said: for each sector the values that it may have.
using System.Buffers.Binary;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>
/// Requests that overlap in time may be done in any order, so a sector may hold what any write in flight writes. A read that ended well
/// shows one of the values that were possible while it was in flight; a flush that ended well leaves one of them durable.
/// </summary>
internal sealed partial class DiskModel : IDisposable
{
    private const int Sectors = 24;
    private const int SectorSize = 512;
    private const int MostSectors = 4;
    private const int Slots = 10;
    private const ulong Discarded = 0xD1D1_D1D1_D1D1_D1D1; // of the fake: nobody else may rely on it

    private static readonly string[] Names =
    [
        "read", "read", "write", "write", "write", "flush, discard or write zeroes", "kick", "poll", "run", "complete one", "complete one",
        "complete all", "fail one", "trouble", "time", "get id or cancel",
    ];

    private readonly FakeMachine _machine = new();
    private readonly FakeBlockDevice _device;
    private readonly BlockDevice _disk;
    private readonly DmaBuffer _memory;
    private readonly bool _isInOrder;
    private readonly bool _isLegacy;

    private readonly Request[] _requests; // used over and over: the short way knows them again
    private ulong _stamp;
    private bool _hadTrouble;
    private bool _hadLostDoorbell;
    private int _completions;
    private int _submits;

    /// <summary>Takes the disk that a number names into service.</summary>
    public DiskModel(int setup)
    {
        ulong features = 0;
        features |= (setup & 1) != 0 ? FakeVirtioDevice.RingPacked : 0;
        features |= (setup & 2) != 0 ? FakeVirtioDevice.InOrder : 0;
        features |= (setup & 4) != 0 ? FakeVirtioDevice.NotificationData : 0;
        ushort[] sizes = [4, 8, 16, 64];
        _requests = [.. Enumerable.Range(0, Slots).Select(slot => new Request(this, slot))];
        _device = new FakeBlockDevice(Sectors, sizes[setup >> 3 & 3], (setup >> 13 & 3) == 3 ? 2 : 1) { HoldsBack = true };
        _device.OfferedFeatures |= features;
        _device.AfterReset = () => _device.IsHeld = false;
        _device.OfferedFeatures &= ~((setup & 32) != 0 ? FakeVirtioDevice.EventIndex : 0);
        _device.OfferedFeatures &= ~((setup & 64) != 0 ? FakeVirtioDevice.IndirectDescriptors : 0);
        _device.Limit((setup & 128) != 0 ? 2u : 0, (setup & 256) != 0 ? 1024u : 0);
        _machine.FakeDma.Shares = (setup >> 12 & 1) == 0; // without an IOMMU requests go the short way
        uint version = (setup >> 9 & 7) == 7 ? 1u : 2;
        _isLegacy = version == 1;
        _isInOrder = !_isLegacy && (setup & 2) != 0;
        if (_isLegacy)
        {
            _device.OfferedFeatures &= 0xFFFF_FFFF;
        }
        else if ((setup >> 15 & 1) != 0)
        {
            _device.Allow(FakeBlockDevice.Discard, 3, 1, 2).Allow(FakeBlockDevice.WriteZeroes, 2);
        }
        _disk = (setup >> 9 & 7) switch
        {
            0 => Pci(vectors: 4),
            1 => Pci(vectors: 0),
            _ => FakeBinding.AttachMmio<BlockDevice>(_machine, _device, version),
        };
        Assert.True(_disk.Dma.TryAllocate(Slots * MostSectors * SectorSize, SectorSize, out _memory));
    }

    /// <summary>Runs a sequence to its end, then lets everything in flight end.</summary>
    public static void Run(Sequence sequence)
    {
        using DiskModel model = new(sequence.Setup);
        foreach (int step in sequence.Steps)
        {
            model.Do(step & 15, step >> 4 & 0xFF, step >> 12);
        }
        model.Finish();
    }

    /// <summary>For people.</summary>
    public static string Describe(int setup, int step) => $"{Names[step & 15]} {step >> 4 & 0xFF} {step >> 12}";

    /// <inheritdoc/>
    public void Dispose() => _machine.Dispose();

    private BlockDevice Pci(ushort vectors)
    {
        _machine.Plug(new FakeVirtioPciDevice(_device, vectors), 0, 3);
        return FakeBinding.AttachOne<BlockDevice>(_machine);
    }

    private void Do(int kind, int a, int b)
    {
        switch (kind)
        {
            case <= 4:
                Submit(kind < 2 ? BlockOperation.Read : BlockOperation.Write, (ulong)(a % (Sectors + 1)), 1 + b % MostSectors, b >> 2);
                break;
            case 5 when a % 4 < 2 && _disk.Supports(BlockOperation.Discard):
                Submit(a % 4 == 0 ? BlockOperation.Discard : BlockOperation.WriteZeroes, (ulong)(a / 4 % (Sectors + 1)), 1 + b % MostSectors, b >> 2);
                break;
            case 5:
                Submit(BlockOperation.Flush, 0, 0, b >> 2);
                break;
            case 15 when a % 4 == 1:
                Cancel(_inFlight[b % Slots]);
                break;
            case 15:
                Submit(BlockOperation.GetId, 0, 0, 0);
                break;
            case 6:
                _disk.Kick();
                break;
            case 7:
                _disk.Poll();
                break;
            case 8:
                _machine.Run();
                break;
            case 9 or 10 when _device.HeldBack.Count > 0 && !_device.IsHeld:
                _device.Complete(_isInOrder ? 0 : a % _device.HeldBack.Count);
                break;
            case 11 when !_device.IsHeld:
                _device.CompleteAll(backwards: !_isInOrder && a % 2 != 0);
                break;
            case 12:
                byte status = (byte)(a % 4 == 0 ? 0xFF : a % 4);
                _device.OnStatus = _ =>
                {
                    _device.OnStatus = null;
                    return status;
                };
                _hadTrouble = true;
                break;
            case 13:
                Trouble(a, b);
                break;
            case 14:
                Pass(a % 16 == 0 ? 40_000_000_000ul : 10_000_000ul);
                break;
        }
    }

    private void Trouble(int a, int b)
    {
        FakeVirtqueue queue = _device.Queues[0];
        switch (a % 8)
        {
            case 0 when _device.IsLive && !_isLegacy:
                _device.AskForReset();
                break;
            case 1 when queue.IsEnabled && queue.Held > 0 && !_device.IsHeld: // a second lie could lie over what the device has not seen yet
                queue.PushUsed(0xFFFF, (uint)b);
                _device.IsHeld = true; // until it is reset: fake and driver disagree on the ring now
                _device.IsTamperingAllowed = true;
                break;
            case 2:
                queue.LoseSignals += 1;
                return; // made good for by looking again: no request may suffer
            case 3:
                // Made good for as well, once: the driver rings again once and then waits for the deadline.
                queue.LoseNotifications = _hadLostDoorbell ? 0 : 1;
                _hadLostDoorbell = true;
                return;
            case 4:
                int short1 = b % 3;
                queue.OnUsed = (id, length) =>
                {
                    queue.OnUsed = null;
                    return (id, short1 == 0 ? 0 : short1 == 1 ? length / 2 : length + (uint)b);
                };
                break;
            case 5:
                int bad = b % Sectors;
                _ = _device.BadSectors.Remove((ulong)bad) || _device.BadSectors.Add((ulong)bad);
                break;
            default:
                return;
        }
        _hadTrouble = true;
    }

    /// <summary>From here on it may only end as called off; what of it was done before nobody knows.</summary>
    private void Cancel(Request? request)
    {
        if (request is null)
        {
            return;
        }
        bool was = request.IsCancelled;
        request.IsCancelled = true; // it may end before the answer
        bool called = _disk.TryCancel(request);
        Assert.True(called || _inFlight[request.Slot] == request, "a request ended that was not called off");
        request.IsCancelled = was || called;
    }

    private void Pass(ulong time)
    {
        _hadTrouble |= time > 1_000_000_000; // what the device still holds may be past its deadline
        _machine.FakeClock.Advance(time);
        ulong now = _machine.Clock.Now;
        if (_disk.NextDeadline <= now)
        {
            _disk.OnDeadline(now);
        }
    }

    private void Submit(BlockOperation operation, ulong sector, int count, int shape)
    {
        int slot = Array.IndexOf(_inFlight, null);
        if (slot < 0)
        {
            return;
        }
        Request request = _requests[slot];
        request.Count = count;
        request.Seen = null;
        request.IsCancelled = false;
        request.Timeout = (shape >> 6 & 15) == 15 ? 15_000_000u : 0;
        _hadTrouble |= request.Timeout != 0; // when it is late, others may suffer by the reset
        DmaBuffer area = _memory.Slice((uint)(slot * MostSectors * SectorSize), MostSectors * SectorSize);
        bool hasRange = operation is not (BlockOperation.Flush or BlockOperation.GetId);
        bool isInside = !hasRange || sector + (ulong)count <= Sectors;
        if (operation == BlockOperation.Write)
        {
            ++_stamp;
            for (int i = 0; i < count * SectorSize; i += 8)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(area.Span[i..], _stamp);
            }
        }
        else
        {
            area.Span.Fill(0xEE);
        }
        request.Value = operation == BlockOperation.Write ? _stamp : operation == BlockOperation.Discard ? Discarded : 0;
        switch (operation)
        {
            case BlockOperation.Flush:
                request.Prepare(operation, 0, default(DmaBuffer));
                break;
            case BlockOperation.GetId:
                request.Prepare(operation, 0, area.Slice(0, 20));
                break;
            case BlockOperation.Discard or BlockOperation.WriteZeroes:
                request.PrepareRange(operation, sector, (ulong)count, mayUnmap: (shape & 1) != 0);
                break;
            default:
                List<DmaBuffer> pieces = [];
                for (int done = 0; done < count;)
                {
                    int length = Math.Min(count - done, 1 + (shape & 3));
                    shape >>= 2;
                    pieces.Add(area.Slice((uint)(done * SectorSize), (uint)(length * SectorSize)));
                    done += length;
                }
                request.Prepare(operation, sector, pieces.ToArray());
                break;
        }
        // Before the device can see it: what is possible while this request is in flight; for a write, what its rivals write.
        if (isInside && operation != BlockOperation.GetId)
        {
            request.Seen = [.. Range(request).Select(at => request.Changes ? RivalsAt(at) : [.. _possible[at]])];
        }
        _inFlight[slot] = request;
        if (isInside && request.Changes)
        {
            Spread(request);
        }
        IoStatus status = _disk.Submit(request);
        if (status == IoStatus.Ok)
        {
            Assert.True(isInside, "a request beyond the end was taken");
            _submits++;
            return;
        }
        _inFlight[slot] = null; // the value of a write stays possible, which is too lenient by a little
        Assert.True(!isInside && status == IoStatus.OutOfRange || _hadTrouble, $"refused: {status}");
    }

    private void Finish()
    {
        _device.OnStatus = null;
        _device.Queues[0].LoseSignals = _device.Queues[0].LoseNotifications = 0;
        _device.HoldsBack = false;
        _disk.Kick();
        for (int round = 0; round < 40 && _completions < _submits; round++)
        {
            _machine.Run();
            if (_device.IsLive && !_device.IsHeld)
            {
                _device.CompleteAll();
            }
            Pass(10_000_000);
            _disk.Poll();
        }
        Assert.Equal(_submits, _completions);
        _disk.Remove();
        _disk.Dma.Free(_memory);
        _machine.AssertNothingLeaked();
    }
}
