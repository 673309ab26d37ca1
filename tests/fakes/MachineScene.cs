// A fake machine for the length of a test.
namespace VirtioSharp.Tests.Fakes;

/// <summary>At its end no rule may have been broken, and nothing may be left over.</summary>
public abstract class MachineScene : IDisposable
{
    /// <summary>The machine.</summary>
    protected FakeMachine Machine { get; } = new();

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            End();
            Machine.Violations.AssertEmpty();
            Machine.AssertNothingLeaked();
        }
        finally
        {
            Machine.Dispose();
        }
    }

    /// <summary>Takes out of service what the test has in service.</summary>
    protected virtual void End()
    {
    }
}
