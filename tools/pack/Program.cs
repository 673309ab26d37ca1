// pack IMAGE TEXT PACKED: packs the flat image of a kernel, of which the first TEXT bytes are code, for boot/unpack.S; says how much smaller it is.
using VirtioSharp.Pack;

if (args.Length != 3 || !int.TryParse(args[1], out int text))
{
    Console.Error.WriteLine("pack IMAGE TEXT PACKED");
    return 2;
}
byte[] image = File.ReadAllBytes(args[0]);
if (text < 0 || text > image.Length)
{
    Console.Error.WriteLine("there is more code than image");
    return 2;
}
byte[] prepared = (byte[])image.Clone();
CallTargets.MakeAbsolute(prepared.AsSpan(0, text));
byte[] packed = Packer.Pack(prepared);

// What can't be unpacked here would not boot there.
byte[] unpacked = Unpacker.Unpack(packed, image.Length);
CallTargets.MakeRelative(unpacked.AsSpan(0, text));
if (!unpacked.AsSpan().SequenceEqual(image))
{
    Console.Error.WriteLine("what was packed does not unpack to what it was");
    return 1;
}
File.WriteAllBytes(args[2], packed);
Console.WriteLine($"packed: {image.Length} bytes into {packed.Length}");
return 0;
