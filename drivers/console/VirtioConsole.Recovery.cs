// A virtio console whose device failed: reset and begun anew, or given up (virtio 2.1.2).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Console;

public sealed partial class VirtioConsole
{
    private int _recoveriesInVain;

    /// <summary>
    /// How often the device is reset and begun anew without a byte in between, before it is given up; 0 for never.
    /// </summary>
    public int MaxRecoveries { get; set; } = 3;

    /// <summary>How often the device was reset and begun anew.</summary>
    public ulong Recoveries { get; private set; }

    /// <summary>
    /// Resets the device and begins anew. What was received can still be read, what the device did not have yet is still sent; what was on
    /// its way is not repeated, since the other side may have seen it. With several ports the device announces them again.
    /// </summary>
    private void Recover()
    {
        if (_recoveriesInVain >= MaxRecoveries || !_virtio.Halt())
        {
            Fail();
            return;
        }
        Log.Write(LogLevel.Warning, "virtio-console", "the device is reset and begun anew; ports", (ulong)_portCount);
        _recoveriesInVain++;
        Recoveries++;
        NoteInterrupted();
        TakeBack();
        ProbeResult result = _virtio.Restart();
        if (!result.IsBound)
        {
            Log.Write(LogLevel.Error, "virtio-console", result.Reason, result.Value);
            Fail();
            return;
        }
        _virtio.Start();
        Begin();
        for (int i = 0; i < _portCount; i++)
        {
            _ports[i].UpdateSending();
        }
    }

    /// <summary>What a reset means for the ports: there is room where something was on its way, and announced ports have to be announced again.</summary>
    private void NoteInterrupted()
    {
        for (int i = 0; i < _portCount; i++)
        {
            VirtioConsolePort port = _ports[i];
            port.WasWritten |= port.Channel.SendingCount != 0;
            if (_control is not null)
            {
                port.IsConfirmed = false;
                port.WasClosed |= port.HostOpen;
                port.HostOpen = false;
                port.Channel.CanSend = false;
                port.WasChanged = true;
            }
        }
    }

    private void TakeBack()
    {
        _control?.TakeBack();
        for (int i = 0; i < _channels.Length; i++)
        {
            _channels[i].TakeBack();
        }
    }

    private void Fail()
    {
        Log.Write(LogLevel.Error, "virtio-console", "the device is given up; ports", (ulong)_portCount);
        GiveUp();
    }

    /// <summary>Stops the device for good and frees the memory last.</summary>
    private void GiveUp()
    {
        if (_failed)
        {
            return;
        }
        _failed = true;
        NextDeadline = ulong.MaxValue;
        bool reset = _virtio.Stop();
        TakeBack();
        if (reset)
        {
            _virtio.FreeQueues();
            _control?.Free();
            for (int i = 0; i < _channels.Length; i++)
            {
                _channels[i].Free();
            }
        }
        for (int i = 0; i < _portCount; i++)
        {
            _ports[i].WasChanged = true;
        }
    }
}
