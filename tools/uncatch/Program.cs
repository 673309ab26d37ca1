// uncatch ASSEMBLY RESULT: takes the catch out of the state machine of each async method. The C# compiler puts one around everything; in the kernel a
// throw is a panic, nothing is ever caught, and what is around everything keeps the second compiler from holding anything in a register.
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

const int FatHeader = 12;           // bytes of the header of a method with exception regions (ECMA-335, II.25.4)
const byte MoreSections = 8;        // in its first byte: a table of the regions follows the code
const int CodeLength = 4;           // where the header says how long the code is
const byte FatTable = 0x40;         // in the first byte of the table: its entries are long
const int ShortEntry = 12;
const int LongEntry = 24;

if (args.Length != 2)
{
    Console.Error.WriteLine("uncatch ASSEMBLY RESULT");
    return 2;
}
byte[] assembly = File.ReadAllBytes(args[0]);
using PEReader image = new(new MemoryStream((byte[])assembly.Clone()));
MetadataReader metadata = image.GetMetadataReader();
foreach (TypeDefinitionHandle handle in metadata.TypeDefinitions)
{
    TypeDefinition type = metadata.GetTypeDefinition(handle);
    if (!type.GetInterfaceImplementations().Any(each => NameOf(metadata.GetInterfaceImplementation(each).Interface) == "IAsyncStateMachine"))
    {
        continue;
    }
    foreach (MethodDefinition method in type.GetMethods().Select(metadata.GetMethodDefinition).Where(each => metadata.StringComparer.Equals(each.Name, "MoveNext")))
    {
        if (!TakeLastCatch(method.RelativeVirtualAddress))
        {
            Console.Error.WriteLine($"{metadata.GetString(type.Name)}: not what the compiler makes of an async method; tools/uncatch does not know this compiler");
            return 1;
        }
    }
}
File.WriteAllBytes(args[1], assembly);
return 0;

string NameOf(EntityHandle type) => type.Kind switch
{
    HandleKind.TypeReference => metadata.GetString(metadata.GetTypeReference((TypeReferenceHandle)type).Name),
    HandleKind.TypeDefinition => metadata.GetString(metadata.GetTypeDefinition((TypeDefinitionHandle)type).Name),
    _ => "",
};

// The region around all others is the last in the table. Without it the table is one entry shorter, or gone; the code of the handler stays and is never reached.
bool TakeLastCatch(int address)
{
    MethodBodyBlock body = image.GetMethodBody(address);
    if (body.ExceptionRegions.Length == 0 || body.ExceptionRegions[^1].Kind != ExceptionRegionKind.Catch)
    {
        return false;
    }
    SectionHeader section = image.PEHeaders.SectionHeaders[image.PEHeaders.GetContainingSectionIndex(address)];
    int at = address - section.VirtualAddress + section.PointerToRawData;
    if (body.ExceptionRegions.Length == 1)
    {
        assembly[at] = (byte)(assembly[at] & ~MoreSections);
        return true;
    }
    int table = (at + FatHeader + BitConverter.ToInt32(assembly, at + CodeLength) + 3) & ~3;
    // The length of the table: three bytes, or the first of them.
    int length = (assembly[table + 1] | (assembly[table + 2] << 8) | (assembly[table + 3] << 16)) - LongEntry;
    if ((assembly[table] & FatTable) == 0)
    {
        assembly[table + 1] -= ShortEntry;
        return true;
    }
    (assembly[table + 1], assembly[table + 2], assembly[table + 3]) = ((byte)length, (byte)(length >> 8), (byte)(length >> 16));
    return true;
}
