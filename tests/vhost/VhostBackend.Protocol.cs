// A vhost-user-blk backend: what QEMU asks for.
using System.IO;
using System.Runtime.InteropServices;

namespace VirtioSharp.Tests.Vhost;

internal sealed partial class VhostBackend
{
    // VHOST_USER_PROTOCOL_F_*: several queues, answers to everything, requests of the backend, configuration.
    private const ulong Protocol = 1ul << 0 | 1ul << 3 | 1ul << 5 | 1ul << 9;
    private const ulong NoFile = 0x100;
    private const int ConfigHeader = 12;

    private void Handle(VhostMessage message)
    {
        switch (message.Code)
        {
            case VhostRequestCode.GetFeatures:
                Answer64(message.Code, _disk.Features);
                return;
            case VhostRequestCode.GetProtocolFeatures:
                Answer64(message.Code, Protocol);
                return;
            case VhostRequestCode.GetQueueCount:
                Answer64(message.Code, (ulong)_queues.Length);
                return;
            case VhostRequestCode.GetConfig:
                GetConfig(message);
                return;
            case VhostRequestCode.GetRingBase:
                GetRingBase(message);
                return;
            case VhostRequestCode.SetFeatures:
                _disk.Agreed = Number64(message);
                break;
            case VhostRequestCode.SetMemoryTable:
                // Rings that run keep the old mapping, which is of the same memory.
                _memory = new VhostMemory(message);
                _memories.Add(_memory);
                break;
            case VhostRequestCode.SetRingSize:
                QueueOf(message).Size = (int)Number32(message, 4);
                break;
            case VhostRequestCode.SetRingBase:
                QueueOf(message).Base = Number32(message, 4);
                break;
            case VhostRequestCode.SetRingAddresses:
                VhostQueue placed = QueueOf(message);
                placed.Descriptors = MemoryMarshal.Read<ulong>(message.Body.AsSpan(8));
                placed.Device = MemoryMarshal.Read<ulong>(message.Body.AsSpan(16));
                placed.Driver = MemoryMarshal.Read<ulong>(message.Body.AsSpan(24));
                break;
            case VhostRequestCode.SetRingKick:
                FileQueueOf(message).SetKick(message.File);
                StartIfReady(FileQueueOf(message));
                break;
            case VhostRequestCode.SetRingCall:
                FileQueueOf(message).SetCall(message.File);
                break;
            case VhostRequestCode.SetRingError:
                Close(message);
                break;
            case VhostRequestCode.SetRingEnable:
                VhostQueue enabled = QueueOf(message);
                enabled.IsEnabled = Number32(message, 4) != 0;
                StartIfReady(enabled);
                break;
            case VhostRequestCode.SetBackendRequests:
                CloseRequests();
                _requestsFile = message.File;
                _requests = new VhostConnection(_requestsFile);
                break;
            case VhostRequestCode.SetConfig:
                SetConfig(message);
                break;
            case VhostRequestCode.SetOwner or VhostRequestCode.ResetOwner or VhostRequestCode.SetProtocolFeatures:
                break;
            default:
                throw new IOException($"QEMU asks for {message.Code}, which was never offered");
        }
        if (message.WantsAcknowledgement)
        {
            Answer64(message.Code, 0);
        }
    }

    /// <summary>A queue runs once it is enabled and has a doorbell.</summary>
    private void StartIfReady(VhostQueue queue)
    {
        if (queue.Ring is not null || queue.Kick < 0 || !queue.IsEnabled || _memory is null)
        {
            return;
        }
        bool hasEvents = (_disk.Agreed & VhostDisk.EventIndex) != 0;
        ulong descriptors = _memory.GuestOf(queue.Descriptors);
        ulong driver = _memory.GuestOf(queue.Driver);
        ulong device = _memory.GuestOf(queue.Device);
        queue.Ring = (_disk.Agreed & VhostDisk.RingPacked) != 0
            ? new VhostPackedRing(_memory, queue.Size, hasEvents, descriptors, driver, device, queue.Base)
            : new VhostSplitRing(_memory, queue.Size, hasEvents, descriptors, driver, device, queue.Base);
        queue.IsDeaf = false;
        queue.Starts++;
        _disk.OnStart?.Invoke(queue);
    }

    /// <summary>Stops a queue. What it held is the driver's again.</summary>
    private void GetRingBase(VhostMessage message)
    {
        VhostQueue queue = QueueOf(message);
        if (queue.Ring is not null)
        {
            _disk.OnStop?.Invoke(queue);
            Stops++;
            _disk.Held.RemoveAll(request => request.Queue == queue);
            queue.Base = queue.Ring.Base;
            queue.Ring = null;
        }
        queue.SetKick(-1);
        Span<byte> body = stackalloc byte[8];
        MemoryMarshal.Write(body, (uint)queue.Index);
        MemoryMarshal.Write(body[4..], queue.Base);
        _connection!.Answer(message.Code, body);
    }

    private void GetConfig(VhostMessage message)
    {
        byte[] body = message.Body;
        uint offset = Number32(message, 0);
        int count = Math.Min(body.Length - ConfigHeader, VhostDisk.ConfigLength - (int)offset);
        _disk.Config.AsSpan((int)offset, count).CopyTo(body.AsSpan(ConfigHeader));
        _connection!.Answer(message.Code, body);
    }

    private void SetConfig(VhostMessage message)
    {
        uint offset = Number32(message, 0);
        message.Body.AsSpan(ConfigHeader, (int)Number32(message, 4)).CopyTo(_disk.Config.AsSpan((int)offset));
    }

    private void Answer64(VhostRequestCode code, ulong value)
    {
        Span<byte> body = stackalloc byte[8];
        MemoryMarshal.Write(body, value);
        _connection!.Answer(code, body);
    }

    private VhostQueue QueueOf(VhostMessage message) => _queues[(int)Number32(message, 0)];

    private VhostQueue FileQueueOf(VhostMessage message) => _queues[(int)(Number64(message) & ~NoFile)];

    private static uint Number32(VhostMessage message, int at) => MemoryMarshal.Read<uint>(message.Body.AsSpan(at));

    private static ulong Number64(VhostMessage message) => MemoryMarshal.Read<ulong>(message.Body);

    private static void Close(VhostMessage message)
    {
        foreach (int file in message.Files)
        {
            Native.Close(file);
        }
    }
}
