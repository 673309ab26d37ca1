// Charts as SVG: bars in groups, and lines over an axis. No library, one file each, readable in a browser and in git.
using System.Globalization;
using System.Text;

namespace VirtioSharp.Bench;

/// <summary>Numbers of one thing: a bar in each group, or a line.</summary>
internal sealed record Series(string Name, IReadOnlyList<(double X, double Y)> Points);

/// <summary>A picture of panels, one below the other.</summary>
internal sealed class Svg
{
    private const int Width = 980;
    private const int Left = 78;
    private const int Right = 190;
    private const int PanelHeight = 300;
    private const int Top = 44;
    private const int Bottom = 62;

    private static readonly string[] s_colors = ["#2b6cb0", "#dd6b20", "#2f855a", "#b83280", "#6b46c1", "#4a5568", "#c53030", "#b7791f"];

    private readonly StringBuilder _body = new();
    private readonly List<string> _names = [];
    private int _height;

    /// <summary>Bars: the groups are at 0, 1, 2 ... on the axis.</summary>
    public Svg Bars(string title, string unit, string[] groups, IReadOnlyList<Series> series, bool logarithmic = false)
    {
        Scale y = Begin(title, unit, series, logarithmic);
        double group = (double)(Width - Left - Right) / groups.Length;
        double bar = group * 0.8 / series.Count;
        for (int i = 0; i < groups.Length; i++)
        {
            double x = Left + group * i + group * 0.1;
            for (int s = 0; s < series.Count; s++)
            {
                foreach ((double at, double value) in series[s].Points)
                {
                    if (at == i && value > 0)
                    {
                        double height = _height + PanelHeight - Bottom - y.At(value);
                        _body.Append(Format($"<rect x='{x + s * bar:0.#}' y='{y.At(value):0.#}' width='{bar * 0.92:0.#}' height='{height:0.#}' fill='{Color(series[s].Name)}'>"))
                            .Append(Format($"<title>{series[s].Name}, {groups[i]}: {value:0.###}</title></rect>\n"));
                    }
                }
            }
            // randread_4k_qd1: what is done above how much of it at once.
            string[] words = groups[i].Split('_', 2);
            Text(x + group * 0.4, _height + PanelHeight - Bottom + 16, words[0], "middle", 11);
            Text(x + group * 0.4, _height + PanelHeight - Bottom + 30, words.Length > 1 ? words[1].Replace('_', ' ') : "", "middle", 11);
        }
        return End(series);
    }

    /// <summary>Lines with their points; the labels of the axis are the values that occur.</summary>
    public Svg Lines(string title, string unit, string axis, IReadOnlyList<Series> series, bool logarithmicX, bool logarithmicY, Func<double, string>? label = null)
    {
        Scale y = Begin(title, unit, series, logarithmicY);
        double[] values = [.. series.SelectMany(each => each.Points).Select(point => point.X).Distinct().Order()];
        Scale x = new(values[0], values[^1], logarithmicX, Left + 10, Width - Right - 10);
        double last = double.MinValue;
        foreach (double value in values)
        {
            if (x.At(value) - last > 44)
            {
                last = x.At(value);
                Text(last, _height + PanelHeight - Bottom + 16, label?.Invoke(value) ?? Format($"{value:#,0.##}"), "middle", 11);
            }
        }
        Text((Left + Width - Right) / 2.0, _height + PanelHeight - Bottom + 36, axis, "middle", 12);
        for (int s = 0; s < series.Count; s++)
        {
            string points = string.Join(' ', series[s].Points.Select(point => Format($"{x.At(point.X):0.#},{y.At(point.Y):0.#}")));
            _body.Append(Format($"<polyline points='{points}' fill='none' stroke='{Color(series[s].Name)}' stroke-width='2'/>\n"));
            foreach ((double at, double value) in series[s].Points)
            {
                _body.Append(Format($"<circle cx='{x.At(at):0.#}' cy='{y.At(value):0.#}' r='3' fill='{Color(series[s].Name)}'><title>{series[s].Name}: {value:0.###}</title></circle>\n"));
            }
        }
        return End(series);
    }

    public void Write(string file)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, Format($"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {Width} {_height}' font-family='sans-serif' fill='#1a202c'>\n") +
            Format($"<rect width='{Width}' height='{_height}' fill='#ffffff'/>\n") + _body + "</svg>\n");
    }

    private Scale Begin(string title, string unit, IReadOnlyList<Series> series, bool logarithmic)
    {
        double[] values = [.. series.SelectMany(each => each.Points).Select(point => point.Y).Where(value => !logarithmic || value > 0)];
        double most = values.Length == 0 ? 1 : values.Max();
        double least = logarithmic && values.Length != 0 ? Math.Pow(10, Math.Floor(Math.Log10(values.Min()))) : 0;
        most = logarithmic ? Math.Pow(10, Math.Ceiling(Math.Log10(most))) : Step(most) * Math.Ceiling(most / Step(most));
        Scale y = new(least, Math.Max(most, least + 1e-9), logarithmic, _height + PanelHeight - Bottom, _height + Top);
        Text(Left, _height + 20, title, "start", 15, bold: true);
        Text(Left, _height + 36, unit, "start", 11);
        if (logarithmic)
        {
            for (double value = least; value <= most * 1.01; value *= 10)
            {
                Grid(y, value);
            }
        }
        else
        {
            for (double value = 0; value <= most * 1.001; value += Step(most))
            {
                Grid(y, value);
            }
        }
        return y;
    }

    private void Grid(Scale y, double value)
    {
        _body.Append(Format($"<line x1='{Left}' x2='{Width - Right}' y1='{y.At(value):0.#}' y2='{y.At(value):0.#}' stroke='#e2e8f0'/>\n"));
        Text(Left - 6, y.At(value) + 4, value >= 1_000_000 ? Format($"{value / 1_000_000:0.##}M") : value >= 10_000 ? Format($"{value / 1000:0.##}k") : Format($"{value:0.##}"), "end", 11);
    }

    private Svg End(IReadOnlyList<Series> series)
    {
        for (int s = 0; s < series.Count; s++)
        {
            double y = _height + Top + 18 * s;
            _body.Append(Format($"<rect x='{Width - Right + 14}' y='{y:0.#}' width='11' height='11' fill='{Color(series[s].Name)}'/>\n"));
            Text(Width - Right + 30, y + 10, series[s].Name, "start", 11);
        }
        _height += PanelHeight;
        return this;
    }

    private void Text(double x, double y, string text, string anchor, int size, bool bold = false) => _body.Append(Format(
        $"<text x='{x:0.#}' y='{y:0.#}' text-anchor='{anchor}' font-size='{size}'{(bold ? " font-weight='bold'" : "")}>{System.Net.WebUtility.HtmlEncode(text)}</text>\n"));

    /// <summary>The same name has the same color in all panels.</summary>
    private string Color(string name)
    {
        if (!_names.Contains(name))
        {
            _names.Add(name);
        }
        return s_colors[_names.IndexOf(name) % s_colors.Length];
    }

    private static double Step(double most)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10(Math.Max(most, 1e-9))));
        return most / power <= 2 ? power / 4 : most / power <= 5 ? power / 2 : power;
    }

    private static string Format(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private readonly record struct Scale(double Least, double Most, bool IsLogarithmic, double From, double To)
    {
        public double At(double value)
        {
            double share = IsLogarithmic
                ? (Math.Log(value) - Math.Log(Least)) / Math.Max(Math.Log(Most) - Math.Log(Least), 1e-9)
                : (value - Least) / Math.Max(Most - Least, 1e-9);
            return From + (To - From) * share;
        }
    }
}
