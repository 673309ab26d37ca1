// Which blocks of the drivers the inputs of the corpus reach, by class; with MISSING=1 the methods with blocks that none reaches.
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace VirtioSharp.Fuzz;

/// <summary>Runs the whole corpus and counts.</summary>
internal static class Reach
{
    /// <summary>Prints one line for each class, and which targets reach most of it.</summary>
    public static void Print(string bin, string folder)
    {
        Session session = new(bin, byBlock: true);
        int blocks = session.Owners.Count;
        bool[] reached = new bool[blocks];
        Dictionary<string, bool[]> byTarget = [];
        foreach ((string name, Action<byte[]> target) in session.Targets)
        {
            bool[] own = byTarget[name] = new bool[blocks];
            foreach (byte[] input in File.ReadAllLines(Path.Combine(folder, name + ".txt")).Select(Convert.FromBase64String))
            {
                session.Clear();
                target(input);
                for (int i = 0; i < blocks; i++)
                {
                    own[i] |= session.Map[i] != 0; // a counter may have gone round to 0: rarely, and then another input counts
                    reached[i] |= own[i];
                }
            }
        }
        bool namesMissing = Environment.GetEnvironmentVariable("MISSING") == "1";
        foreach (IGrouping<string, int> type in Enumerable.Range(0, blocks).GroupBy(i => session.Owners[i].Split(' ')[0]).OrderBy(group => group.Key))
        {
            int[] all = [.. type];
            string[] most = [.. byTarget.Where(pair => all.Any(i => pair.Value[i])).OrderByDescending(pair => all.Count(i => pair.Value[i]))
                .Take(2).Select(pair => $"{pair.Key} {all.Count(i => pair.Value[i])}")];
            Console.WriteLine($"{type.Key,-50} {all.Count(i => reached[i]),4} of {all.Length,4} blocks  {string.Join(", ", most)}");
            foreach (IGrouping<string, int> method in all.Where(i => namesMissing && !reached[i]).GroupBy(i => session.Owners[i]))
            {
                Console.WriteLine($"    {method.Key.Split(' ')[1]}: {method.Count()} of {all.Count(i => session.Owners[i] == method.Key)} not reached");
            }
        }
        Console.WriteLine($"{reached.Count(each => each)} of {blocks} blocks of the drivers are reached by the corpus");
    }
}
