// Searches the shortest way to say an image in the packed format.
namespace VirtioSharp.Pack;

/// <summary>
/// Goes through the image once and keeps for each place the cheapest way found to get there: by one more literal, or by a match from some place before
/// it. Of the ways that cost the same the first is kept, with the distance it used last, so the result is short but not proven to be the shortest.
/// </summary>
internal sealed class Packer
{
    private const int MaxTries = 3000;          // of earlier places that begin with the same three bytes
    private const int AlwaysTried = 300;        // a match of more than this is tried as a whole only
    private const int TripleBits = 18;
    private const int PerByte = 16;             // what a byte costs
    private const int PerMatch = 8;             // what a match costs besides: the time to unpack it

    private readonly byte[] _image;
    private readonly int[] _cost;               // by place: what everything before it costs
    private readonly int[] _length;             // of the match that ends there, 0: a literal
    private readonly int[] _distance;           // of that match
    private readonly int[] _last;               // the distance of the last match on the way
    private readonly int[] _literals;           // how many literals the way ends with
    private readonly int[] _pairs = Filled(1 << 16);
    private readonly int[] _triples = Filled(1 << TripleBits);
    private readonly int[] _pairBefore;         // the place before with the same two bytes
    private readonly int[] _tripleBefore;

    private Packer(byte[] image)
    {
        _image = image;
        _cost = Filled(image.Length + 1, int.MaxValue);
        _length = new int[image.Length + 1];
        _distance = new int[image.Length + 1];
        _last = new int[image.Length + 1];
        _literals = new int[image.Length + 1];
        _pairBefore = new int[image.Length];
        _tripleBefore = new int[image.Length];
    }

    /// <summary>The packed image.</summary>
    public static byte[] Pack(byte[] image)
    {
        Packer packer = new(image);
        packer.Search();
        return packer.Write();
    }

    private static int[] Filled(int length, int value = -1)
    {
        int[] result = new int[length];
        Array.Fill(result, value);
        return result;
    }

    private void Search()
    {
        _cost[0] = 0;
        for (int place = 0; place < _image.Length; place++)
        {
            TryLiteral(place);
            if (_last[place] != 0)
            {
                TryMatch(place, _last[place], 0, Format.MinMatch - 1);
            }
            int near = TryNear(place);
            TryFar(place, near);
        }
    }

    private void TryLiteral(int place)
    {
        int literals = _literals[place] + 1;
        int cost = _cost[place] + PerByte * (1 + Format.Rest(literals, Format.MaxShortLiterals) - Format.Rest(literals - 1, Format.MaxShortLiterals));
        if (literals <= Format.MaxRun && cost < _cost[place + 1])
        {
            (_cost[place + 1], _length[place + 1], _last[place + 1], _literals[place + 1]) = (cost, 0, _last[place], literals);
        }
    }

    /// <summary>Tries all lengths of a match beyond what was tried before for the same price; answers with the longest.</summary>
    private int TryMatch(int place, int distance, int distanceBytes, int tried)
    {
        int from = place - distance;
        int most = Math.Min(_image.Length - place, Format.MaxRun);
        if (tried >= most || _image[from + tried] != _image[place + tried])
        {
            return tried;
        }
        int length = 0;
        while (length < most && _image[from + length] == _image[place + length])
        {
            length++;
        }
        int begin = _cost[place] + PerByte * (1 + distanceBytes) + PerMatch;
        for (int each = length > AlwaysTried ? length : tried + 1; each <= length; each++)
        {
            int cost = begin + PerByte * Format.Rest(each - Format.MinMatch, Format.MaxShortLength);
            int end = place + each;
            if (each >= Format.MinMatch && cost < _cost[end])
            {
                (_cost[end], _length[end], _distance[end], _last[end], _literals[end]) = (cost, each, distance, distance, 0);
            }
        }
        return Math.Max(length, tried);
    }

    /// <summary>Matches whose distance is one byte; answers with the longest.</summary>
    private int TryNear(int place)
    {
        int tried = Format.MinMatch - 1;
        if (place + 1 < _image.Length)
        {
            int pair = _image[place] | (_image[place + 1] << 8);
            for (int from = _pairs[pair]; from >= 0 && Format.DistanceBytes(place - from) == 1; from = _pairBefore[from])
            {
                tried = TryMatch(place, place - from, 1, tried);
            }
            _pairBefore[place] = _pairs[pair];
            _pairs[pair] = place;
        }
        return tried;
    }

    private void TryFar(int place, int near)
    {
        if (place + 2 >= _image.Length)
        {
            return;
        }
        int key = (int)((uint)((_image[place] | (_image[place + 1] << 8) | (_image[place + 2] << 16)) * 0x9E3779B1u) >> (32 - TripleBits));
        int middle = near;
        int far = near;
        int tries = 0;
        for (int from = _triples[key]; from >= 0 && tries < MaxTries; from = _tripleBefore[from], tries++)
        {
            int bytes = Format.DistanceBytes(place - from);
            if (bytes == 2)
            {
                middle = TryMatch(place, place - from, bytes, middle);
                far = Math.Max(far, middle);
            }
            else if (bytes == 3)
            {
                far = TryMatch(place, place - from, bytes, far);
            }
        }
        _tripleBefore[place] = _triples[key];
        _triples[key] = place;
    }

    private byte[] Write()
    {
        Stack<int> ends = [];
        for (int place = _image.Length; place > 0; place -= Math.Max(_length[place], 1))
        {
            if (_length[place] != 0)
            {
                ends.Push(place);
            }
        }
        List<byte> packed = [];
        int done = 0;
        int last = 0;
        while (ends.TryPop(out int end))
        {
            int length = _length[end] - Format.MinMatch;
            int bytes = _distance[end] == last ? 0 : Format.DistanceBytes(_distance[end]);
            last = _distance[end];
            int token = (Math.Min(length, Format.MaxShortLength) << Format.LengthShift) | (bytes << Format.DistanceShift);
            WriteLiterals(packed, token, _image.AsSpan(done..(end - _length[end])));
            for (int i = 0; i < bytes; i++)
            {
                packed.Add((byte)((last - 1) >> (8 * i)));
            }
            WriteNumber(packed, length, Format.MaxShortLength);
            done = end;
        }
        WriteLiterals(packed, Format.MaxShortLength << Format.LengthShift, _image.AsSpan(done));
        WriteNumber(packed, Format.MaxShortLength + Format.End, Format.MaxShortLength);
        return [.. packed];
    }

    private static void WriteLiterals(List<byte> packed, int token, ReadOnlySpan<byte> literals)
    {
        packed.Add((byte)(token | Math.Min(literals.Length, Format.MaxShortLiterals)));
        WriteNumber(packed, literals.Length, Format.MaxShortLiterals);
        packed.AddRange(literals);
    }

    private static void WriteNumber(List<byte> packed, int number, int most)
    {
        int rest = number - most;
        if (rest >= Format.LongNumber)
        {
            packed.AddRange([Format.LongNumber, (byte)rest, (byte)(rest >> 8)]);
        }
        else if (rest >= 0)
        {
            packed.Add((byte)rest);
        }
    }
}
