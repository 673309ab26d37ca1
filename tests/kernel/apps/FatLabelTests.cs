// Labels of FAT file systems.
using System.Text;
using VirtioSharp.Kernel.Apps;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Apps;

public sealed class FatLabelTests
{
    [Theory]
    [InlineData(38, 43, "FAT16   ", "DEMO       ", "DEMO")]
    [InlineData(66, 71, "FAT32   ", "TWO WORDS  ", "TWO WORDS")]
    [InlineData(38, 43, "FAT12   ", "NO NAME    ", "")]
    [InlineData(38, 43, "FAT16   ", "A\x1b[2J      ", "A?[2J")]
    [InlineData(38, 43, "NTFS    ", "DEMO       ", "")]
    public void The_label_is_shown_and_can_steer_no_terminal(int signature, int at, string type, string label, string shown)
    {
        byte[] block = new byte[512];
        block[510] = 0x55;
        block[511] = 0xAA;
        block[signature] = 0x29;
        Encoding.Latin1.GetBytes(type).CopyTo(block, signature + 16);
        Encoding.Latin1.GetBytes(label).CopyTo(block, at);
        Assert.Equal(shown, FatLabel.Of(block));
    }
}
