// Asked for by the compiler; nothing here implements it.
using Internal.Runtime;

namespace System.Runtime.InteropServices;

public unsafe interface IDynamicInterfaceCastable
{
    bool IsInterfaceImplemented(RuntimeTypeHandle interfaceType, bool throwIfNotImplemented);

    RuntimeTypeHandle GetInterfaceImplementation(RuntimeTypeHandle interfaceType);

    internal static nint GetDynamicInterfaceImplementation(IDynamicInterfaceCastable instance, MethodTable* interfaceType, ushort slot)
    {
        FatalError.Stop("an interface that is implemented at run time");
        return 0;
    }
}
