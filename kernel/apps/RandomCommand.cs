// The command that shows random bytes, and how good they are.
using System.Security.Cryptography;
using System.Threading.Tasks;
using VirtioSharp.Kernel.Entropy;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary><c>random [N]</c>, <c>random info</c>. Bytes that anybody could predict are not shown.</summary>
internal static class RandomCommand
{
    private const uint DefaultLength = 32;
    private const uint MaxLength = 4096;
    private const int LineLength = 32;
    private const ulong Patience = 2_000_000_000;

    internal static async ValueTask<bool> RunAsync(KernelRandom random, RunLoop loop, string argument, Terminal output)
    {
        bool isSeeded = await random.WhenSeededAsync(loop, Patience);
        if (argument == "info")
        {
            random.Describe(output);
            return true;
        }
        uint length = DefaultLength;
        if (argument.Length != 0 && (!uint.TryParse(argument, out length) || length is 0 or > MaxLength))
        {
            output.Write("random takes how many bytes, 1 to 4096\n");
            return false;
        }
        if (!isSeeded)
        {
            output.Write("nothing has seeded the generator; give the machine -device virtio-rng-pci, or a processor with RDRAND (-cpu max)\n");
            return false;
        }
        byte[] bytes = RandomNumberGenerator.GetBytes((int)length);
        for (int i = 0; i < bytes.Length; i += LineLength)
        {
            for (int j = i; j < bytes.Length && j < i + LineLength; j++)
            {
                output.WriteHex(bytes[j], 2);
            }
            output.EndLine();
            await output.FlushAsync();
        }
        return true;
    }
}
