// What a hostile case changes in the fakes is put back, so that the same device can be used once more as one that behaves.
using System.Reflection;

namespace VirtioSharp.Tests.Hostile;

/// <summary>Remembers every property of an object that tests can set, the content of arrays included.</summary>
internal sealed class PutBack
{
    private readonly Action _do;

    /// <summary>Remembers how an object is now.</summary>
    internal PutBack(object part)
    {
        List<Action> all = [];
        foreach (PropertyInfo property in part.GetType().GetProperties(BindingFlags.Instance | BindingFlags.Public))
        {
            bool isIndexed = property.GetIndexParameters().Length != 0;
            if (!isIndexed && property.Name == "Config" && property.GetValue(part) is byte[] bytes)
            {
                byte[] copy = (byte[])bytes.Clone();
                all.Add(() => copy.CopyTo(bytes, 0));
            }
            else if (!isIndexed && property.GetMethod is { IsPublic: true } && property.SetMethod is { IsPublic: true })
            {
                object? value = property.GetValue(part);
                all.Add(() => property.SetValue(part, value));
            }
        }
        _do = () => all.ForEach(each => each());
    }

    /// <summary>Puts something back by hand.</summary>
    internal PutBack(Action how) => _do = how;

    /// <summary>Makes it as it was.</summary>
    internal void Do() => _do();
}
