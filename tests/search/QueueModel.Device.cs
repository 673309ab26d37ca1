// The device's side of the model of a queue: what it sees, holds and uses, and when it has to interrupt.
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Search;

internal sealed partial class QueueModel
{
    /// <summary>What the device sees: with a split ring what was published, with a packed one everything that was added.</summary>
    private int Visible() => IsPacked ? _added.Count : _added.Count - (int)(_addedAt - _toldAt);

    private void DeviceTakes()
    {
        if (_lied)
        {
            return; // what it would find is its own nonsense
        }
        int visible = Visible();
        List<FakeChain> chains = _backend.DeviceTakes();
        Assert.Equal(visible, chains.Count);
        chains.ForEach(Taken);
        _deviceWish = HasEventIndex ? _deviceAt : Always;
    }

    private void DeviceTakesOne()
    {
        if (_lied)
        {
            return;
        }
        int visible = Visible();
        FakeChain? chain = _backend.Peer.Take();
        Assert.Equal(visible > 0, chain is not null);
        if (chain is not null)
        {
            Taken(chain);
        }
    }

    private void Taken(FakeChain chain)
    {
        Buffer buffer = _added.Dequeue();
        Assert.Equal((buffer.Readable, buffer.Writable), (chain.ReadableLength, chain.WritableLength));
        Assert.True(!chain.Read().AsSpan().ContainsAnyExcept(buffer.Stamp), "the device reads other bytes");
        _held.Add((chain, buffer));
        _deviceAt += IsPacked ? buffer.Descriptors : 1;
    }

    private void Use(int at, int how)
    {
        if (_lied)
        {
            return;
        }
        (FakeChain chain, Buffer buffer) = _held[at];
        _held.RemoveAt(at);
        uint most = buffer.Writable;
        uint written = (how & 3) switch { 0 => most, 1 => most / 2, 2 => 0, _ => most + 1 + (uint)how };
        chain.Write(0, Filled(Math.Min(written, most), (byte)~buffer.Stamp));
        _backend.DeviceUses(chain, written);
        Used(buffer, written);
    }

    private void UseBatch(int count, int how)
    {
        if (_lied)
        {
            return;
        }
        List<(FakeChain Chain, Buffer Buffer)> batch = _held[..count];
        _held.RemoveRange(0, count);
        uint last = (how & 1) != 0 ? batch[^1].Buffer.Writable : 0;
        foreach ((FakeChain chain, Buffer buffer) in batch)
        {
            uint written = buffer == batch[^1].Buffer ? last : buffer.Writable;
            chain.Write(0, Filled(written, (byte)~buffer.Stamp));
            Used(buffer, written);
        }
        _backend.DeviceUsesBatch([.. batch.Select(each => each.Chain)], last);
        _backend.Peer.WritesBatches = false;
    }

    private void Used(Buffer buffer, uint written)
    {
        _used.Enqueue((buffer, written));
        _usedAt += IsPacked ? buffer.Descriptors : 1;
    }

    private void Signal()
    {
        if (_lied)
        {
            return;
        }
        long used = IsPacked ? Math.Max(_signalledAt, _usedAt - _size) : _signalledAt;
        bool wanted = _driverWish == Always ? _usedAt > _signalledAt : _driverWish >= used && _driverWish < _usedAt;
        bool isVague = IsVague(_driverWish, used, _usedAt);
        _signalledAt = _usedAt;
        _backend.DeviceSignals();
        bool came = _backend.Queue.TakeInterrupt();
        Assert.True(came == wanted || (came && isVague), came ? "an interrupt that nobody asked for" : "an interrupt got lost");
        _signals += came ? 1 : 0;
    }

    private void Wish(int how)
    {
        if (how % 3 == 0)
        {
            _backend.DeviceWantsNoNotifications();
            _deviceWish = Never;
            return;
        }
        int ahead = how / 3 % (_size + 1);
        _backend.DeviceAwaits(ahead);
        _deviceWish = HasEventIndex ? _deviceAt + ahead : Always;
    }

    /// <summary>
    /// A place in a packed ring says no more than a position modulo twice its size: one that was waited for long ago, or for long, may as well be
    /// one of those that were passed now. A notification too many does no harm.
    /// </summary>
    private bool IsVague(long wish, long from, long end)
    {
        bool isOther = false;
        for (long at = from; at < end && IsPacked && wish >= 0; at++)
        {
            isOther |= at != wish && (at - wish) % (2 * _size) == 0;
        }
        return isOther || (IsPacked && wish >= 0 && end - from > _size);
    }

    private static byte[] Filled(uint length, byte value)
    {
        byte[] bytes = new byte[length];
        bytes.AsSpan().Fill(value);
        return bytes;
    }
}
