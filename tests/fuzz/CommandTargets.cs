// Fuzzing of a disk with everything that a disk may have: zones, ranges, several queues, requests in pieces, called off, with timeouts.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fuzz;

/// <summary>Each request that was taken ends once, and what ended well makes sense; small rings, so that requests wait and frames are taken apart.</summary>
internal sealed class CommandTargets
{
    private const int Sectors = 256;
    private const uint ZoneSectors = 32;
    private const int Requests = 12;
    private const uint RoomLength = 4096;

    private readonly FakeMachine _machine;
    private readonly FuzzInput _input;
    private readonly FakeBlockDevice _device;
    private readonly BlockDevice _disk;
    private readonly TestRequest[] _requests;
    private readonly int[] _taken = new int[Requests];
    private readonly DmaBuffer _memory;
    private bool _isRemoved;

    private CommandTargets(FakeMachine machine, FuzzInput input)
    {
        _machine = machine;
        _input = input;
        byte first = input.Next8();
        byte second = input.Next8();
        bool isPacked = (first & 1) != 0;
        ushort[] sizes = [4, 8, 16, isPacked ? (ushort)5 : (ushort)4];
        ushort size = sizes[second & 3];
        _device = new FakeBlockDevice(Sectors, size, (first & 8) != 0 ? 2 : 1) { HoldsBack = true, IsTamperingAllowed = true, HasShrunk = true };
        _device.OfferedFeatures |= isPacked ? FakeVirtioDevice.RingPacked : 0;
        _device.OfferedFeatures &= ~((first & 2) != 0 ? FakeVirtioDevice.EventIndex : 0);
        _device.OfferedFeatures &= ~((first & 4) != 0 ? FakeVirtioDevice.IndirectDescriptors : 0);
        machine.FakeDma.Shares = (first & 16) != 0;
        _device.Limit((second & 4) != 0 ? 2u : 0, (second & 8) != 0 ? 1024u : 0);
        int model = first >> 5 & 3;
        if (model is 1 or 2)
        {
            bool isFine = (second & 16) != 0;
            _device.DivideInto(new FakeZones(
                Sectors, ZoneSectors, (byte)model, conventional: 1, capacity: isFine ? 28u : 0, maxOpen: 2, maxActive: 3, maxAppend: 8,
                granularity: isFine ? 1024u : 512));
        }
        if ((first & 0x80) != 0)
        {
            _device.Allow(FakeBlockDevice.Discard, 8, 2, 4).Allow(FakeBlockDevice.WriteZeroes, 16).Allow(FakeBlockDevice.SecureErase, ZoneSectors);
            _device.OfferedFeatures |= FakeBlockDevice.Lifetime;
        }
        if ((second & 32) != 0)
        {
            _device.AllowSwitch();
        }
        _disk = FakeBinding.AttachMmio<BlockDevice>(machine, _device, 2);
        Assert.True(_disk.Dma.TryAllocate(Requests * RoomLength, 512, out _memory));
        _requests = [.. Enumerable.Range(0, Requests).Select(_ => new TestRequest { Then = Ended })];
        _device.AfterReset = () => _device.IsHeld = false;
        _device.OnStatus = status => Lie() ? input.Next8() : status;
        foreach (FakeVirtqueue queue in _device.Queues)
        {
            queue.OnUsed = LieAboutUsed;
        }
    }

    /// <summary>One run.</summary>
    public static void Run(byte[] bytes)
    {
        FakeMachine machine = new();
        try
        {
            new CommandTargets(machine, new FuzzInput(bytes)).Play();
        }
        finally
        {
            machine.Dispose();
        }
    }

    private void Play()
    {
        for (int step = 0; step < 64 && !_input.IsEmpty && !_isRemoved; step++)
        {
            byte what = _input.Next8();
            Do(what & 15, what >> 4);
        }
        Remove();
        for (int i = 0; i < Requests; i++)
        {
            Assert.True(_requests[i].Completions == _taken[i], $"request {i} was taken {_taken[i]} times and ended {_requests[i].Completions} times");
        }
        _disk.Dma.Free(_memory);
        _machine.AssertNothingLeaked();
    }

    private void Do(int kind, int how)
    {
        switch (kind)
        {
            case <= 4:
                Submit(Array.FindIndex(_requests, request => request.Status != IoStatus.InFlight), kind < 2 ? _input.Next8() : how);
                break;
            case 5 or 6:
                _disk.Kick();
                _machine.Run();
                break;
            case 7 or 8 when _device.HeldBack.Count > 0 && !_device.IsHeld:
                _device.Complete(how % _device.HeldBack.Count);
                break;
            case 9 when !_device.IsHeld:
                _device.CompleteAll(backwards: (how & 1) != 0);
                break;
            case 10 or 11:
                _disk.Poll();
                break;
            case 12:
                _machine.FakeClock.Advance(how == 15 ? 40_000_000_000ul : 10_000_000);
                _disk.OnDeadline(_machine.Clock.Now);
                break;
            case 13:
                _disk.TryCancel(_requests[how % Requests]);
                break;
            case 14:
                Trouble(how);
                break;
            case 15 when how < 8:
                FakeVirtqueue queue = _device.Queues[how % _device.Queues.Length];
                if (queue.IsEnabled && queue.Held > 0)
                {
                    _device.IsHeld = true; // until it is reset: the fake and the driver disagree on the ring now
                    queue.PushUsed(_input.NextInteresting(queue.Size), _input.NextInteresting(513));
                }
                break;
            case 15:
                _disk.TrySetWriteCache((how & 1) != 0);
                break;
        }
    }

    private void Trouble(int how)
    {
        switch (how)
        {
            case 0 or 1 when _device.IsLive:
                _device.AskForReset();
                break;
            case 2:
                _device.ChangeConfig(config => _input.NextBytes(4, Sectors).CopyTo(config, 0));
                break;
            case 3 when _device.Zones is not null:
                _device.Zones.LieAboutAppend = _input.NextInteresting(ZoneSectors);
                break;
            case 4 when _device.Zones is not null:
                _device.Zones.LieAboutCount = _input.NextInteresting(8);
                break;
            case 5 when _device.Zones is not null:
                FakeZone zone = _device.Zones.Zones[_input.Below(_device.Zones.Zones.Count)];
                zone.State = _input.Next8();
                zone.WritePointer = _input.NextInteresting((uint)zone.Start);
                break;
            case 6:
                _device.IsWriteBackStuck = !_device.IsWriteBackStuck;
                break;
            case 7:
                _ = _device.BadSectors.Add(_input.Next8()) || _device.BadSectors.Remove(_input.Next8());
                break;
            case 8:
                _device.Queues[0].LoseSignals = 1;
                break;
            case 9:
                _device.Queues[0].LoseNotifications = 1;
                break;
        }
    }

    private void Submit(int index, int how)
    {
        if (index < 0)
        {
            return;
        }
        TestRequest request = _requests[index];
        BlockOperation operation = (BlockOperation)(how % 15);
        byte place = _input.Next8();
        byte shape = _input.Next8();
        ulong sector = operation switch
        {
            BlockOperation.Flush or BlockOperation.GetId or BlockOperation.GetLifetime or BlockOperation.ResetAllZones => 0,
            >= BlockOperation.ReportZones => place / ZoneSectors * ZoneSectors,
            _ => place,
        };
        DmaBuffer room = _memory.Slice((uint)index * RoomLength, RoomLength);
        room.Span.Fill(0xEE);
        request.Timeout = (shape & 0xC0) == 0xC0 ? 15_000_000u : 0;
        switch (operation)
        {
            case BlockOperation.Read or BlockOperation.Write or BlockOperation.AppendZone:
                // One piece mostly, or up to four of one to two sectors.
                int pieces = (shape & 0x20) != 0 ? 1 + (shape & 3) : 1;
                uint length = 512u * (1 + (uint)(shape >> 2 & (pieces == 1 ? 7 : 1)));
                DmaBuffer[] list = new DmaBuffer[pieces];
                for (int i = 0; i < pieces; i++)
                {
                    list[i] = room.Slice((uint)i * length, length);
                }
                request.Prepare(operation, sector, list);
                break;
            case BlockOperation.GetId:
                request.Prepare(operation, sector, room.Slice(0, 20));
                break;
            case BlockOperation.GetLifetime:
                request.Prepare(operation, sector, room.Slice(0, BlockLifetime.Length));
                break;
            case BlockOperation.ReportZones:
                request.Prepare(operation, sector, room.Slice(0, 64 + 64 * (1 + (uint)(shape & 15))));
                break;
            case BlockOperation.Discard or BlockOperation.WriteZeroes or BlockOperation.SecureErase:
                request.PrepareRange(operation, sector, (shape & 0x20) != 0 ? ZoneSectors : 1 + (ulong)(shape & 31), mayUnmap: (shape & 0x40) != 0);
                break;
            default:
                request.Prepare(operation, sector, default(DmaBuffer));
                break;
        }
        if (_disk.Submit(request) == IoStatus.Ok)
        {
            _taken[index]++;
        }
    }

    private void Ended(TestRequest request)
    {
        if (request.Status == IoStatus.Ok && request.Operation == BlockOperation.ReportZones)
        {
            ReadOnlySpan<byte> report = request.Buffers[0].Span;
            for (int i = 0; i < ZoneReport.CountOf(report); i++)
            {
                bool makesSense = ZoneReport.TryRead(report, i, out Zone zone);
                Assert.True(!makesSense || zone.Start + zone.Capacity >= zone.Start, "a zone goes round the end of the numbers");
            }
            Assert.False(ZoneReport.TryRead(report, ZoneReport.CountOf(report), out _));
        }
        if (request.Status == IoStatus.Ok && request.Operation == BlockOperation.AppendZone)
        {
            Assert.InRange(request.AppendedAt, request.Sector, request.Sector + ZoneSectors - 1);
        }
        // Completions may submit again, or remove the disk.
        byte next = _input.Next8();
        if (next == 0xFF)
        {
            Remove();
        }
        else if (next >= 0xE0 && !_isRemoved)
        {
            Submit(Array.IndexOf(_requests, request), next & 15);
        }
    }

    private void Remove()
    {
        if (!_isRemoved)
        {
            _isRemoved = true;
            _disk.Remove();
        }
    }

    private (uint Id, uint Length) LieAboutUsed(uint id, uint length)
    {
        if (!Lie())
        {
            return (id, length);
        }
        uint other = _input.NextInteresting(id);
        _device.IsHeld |= other != id;
        return (other, _input.NextInteresting(length));
    }

    private bool Lie() => (_input.Next8() & 15) == 15;
}
