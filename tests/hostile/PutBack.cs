// What a hostile case changes in the fakes is put back, so that the same device can be used once more as one that behaves.
using System.Collections.Concurrent;
using System.Reflection;

namespace VirtioSharp.Tests.Hostile;

/// <summary>Remembers every property of an object that tests can set, the content of arrays included.</summary>
internal sealed class PutBack
{
    private static readonly ConcurrentDictionary<Type, PropertyInfo[]> Settable = [];

    private readonly Action _do;

    /// <summary>Remembers how an object is now.</summary>
    internal PutBack(object part)
    {
        List<Action> all = [];
        foreach (PropertyInfo property in Settable.GetOrAdd(part.GetType(), Find))
        {
            object? value = property.GetValue(part);
            if (property.SetMethod is { IsPublic: true })
            {
                all.Add(() => property.SetValue(part, value));
            }
            else if (value is byte[] bytes)
            {
                byte[] copy = (byte[])bytes.Clone();
                all.Add(() => copy.CopyTo(bytes, 0));
            }
        }
        _do = () => all.ForEach(each => each());
    }

    /// <summary>Puts something back by hand.</summary>
    internal PutBack(Action how) => _do = how;

    /// <summary>Makes it as it was.</summary>
    internal void Do() => _do();

    /// <summary>What tests can set, and the bytes of the configuration.</summary>
    private static PropertyInfo[] Find(Type type) =>
    [
        .. type.GetProperties(BindingFlags.Instance | BindingFlags.Public).Where(property => property.GetIndexParameters().Length == 0 &&
            property.GetMethod is { IsPublic: true } && (property.SetMethod is { IsPublic: true } || property.Name == "Config")),
    ];
}
