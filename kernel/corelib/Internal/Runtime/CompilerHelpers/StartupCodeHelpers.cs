// What has to happen before the first managed code that uses statics: their storage, and eager static constructors.
using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Internal.Runtime.CompilerHelpers;

/// <summary>Walks the module headers that the compiler left in the section <c>__modules</c>.</summary>
public static unsafe class StartupCodeHelpers
{
    private const uint Signature = 0x00525452;
    private const int GCStaticRegion = 201;
    private const int EagerCctor = 205;
    private const nint Uninitialized = 1;
    private const nint HasPreInitializedData = 2;

    [StructLayout(LayoutKind.Sequential)]
    private struct ReadyToRunHeader
    {
        public uint Signature;
        public ushort MajorVersion;
        public ushort MinorVersion;
        public uint Flags;
        public ushort SectionCount;
        public byte EntrySize;
        public byte EntryType;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct ModuleSection
    {
        public int Id;
        public int Flags;
        public byte* Start;
        public byte* End;
    }

    /// <summary>Prepares the statics of every module between the two addresses; false when a header is not what we know.</summary>
    public static bool Initialize(void* modulesStart, void* modulesEnd)
    {
        for (nint* module = (nint*)modulesStart; module < modulesEnd; module++)
        {
            if (*module == 0)
            {
                continue;
            }
            ReadyToRunHeader* header = (ReadyToRunHeader*)*module;
            if (header->Signature != Signature)
            {
                return false;
            }
            ModuleSection* sections = (ModuleSection*)(header + 1);
            for (int i = 0; i < header->SectionCount; i++)
            {
                if (sections[i].Id == GCStaticRegion)
                {
                    InitializeStatics(sections[i].Start, sections[i].End);
                }
                else if (sections[i].Id == EagerCctor)
                {
                    RunEagerConstructors(sections[i].Start, sections[i].End);
                }
            }
        }
        return true;
    }

    private static void* Relative(byte* address) => address + *(int*)address;

    private static void InitializeStatics(byte* start, byte* end)
    {
        for (byte* current = start; current < end; current += sizeof(int))
        {
            nint* block = (nint*)Relative(current);
            nint value = (nint)Relative((byte*)block);
            if ((value & Uninitialized) == 0)
            {
                continue;
            }
            MethodTable* table = (MethodTable*)(value & ~3);
            object statics = RuntimeHeap.NewObject(table);
            if ((value & HasPreInitializedData) != 0)
            {
                byte* data = (byte*)Relative((byte*)block + sizeof(int));
                byte* target = *(byte**)&statics + sizeof(nint);
                for (uint i = 0; i < table->BoxedDataSize; i++)
                {
                    target[i] = data[i];
                }
            }
            *block = *(nint*)&statics;
        }
    }

    private static void RunEagerConstructors(byte* start, byte* end)
    {
        for (byte* current = start; current < end; current += sizeof(int))
        {
            ((delegate*<void>)Relative(current))();
        }
    }
}
