using System.Globalization;
using System.Net;
using Codo.Platform.Http;
using Codo.Platform.Localization;

namespace Codo.Host.Accounts;

/// <summary>
/// Slows down whoever guesses: five failures a minute for an address, and growing pauses for one name from one address. Nothing counts by the name alone, so
/// that nobody locks somebody else out from afar; but codes of a person whose password is known already do, since only who has that password gets there. In the
/// memory of this node.
/// </summary>
internal sealed class SignInLimit(TimeProvider time)
{
    private const int PerAddress = 5, FreeFailures = 3, CodesOfPerson = 10, MostKept = 20_000;

    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1), FirstPause = TimeSpan.FromSeconds(5), LongestPause = TimeSpan.FromMinutes(15);
    private static readonly TimeSpan Remembered = TimeSpan.FromHours(1), CodesWithin = TimeSpan.FromMinutes(10);

    private readonly Lock gate = new();
    private readonly Dictionary<IPAddress, Queue<long>> addresses = [];
    private readonly Dictionary<(string Name, IPAddress Address), (int Failures, long Last)> names = [];
    private readonly Dictionary<long, Queue<long>> codes = [];

    /// <summary>Addresses and names that are counted now.</summary>
    internal int Kept => addresses.Count + names.Count;

    /// <summary>The refusal of somebody who has to wait: 429 with Retry-After.</summary>
    public static Refusal TooMany(TimeSpan wait)
    {
        var seconds = Math.Max(1, (int)Math.Ceiling(wait.TotalSeconds));
        var text = seconds.ToString(CultureInfo.InvariantCulture);
        return new Refusal(429, new Text($"尝试太频繁，请在 {text} 秒后重试", $"Too many attempts; try again in {text} s"), RefusalKind.TooMany)
        {
            RetryAfter = seconds,
        };
    }

    /// <summary>Counts an attempt as failed before it is checked, so that a hundred at once are not all let through.</summary>
    /// <returns>How long the caller has to wait instead; zero where the attempt may be made.</returns>
    public TimeSpan Take(string name, IPAddress address)
    {
        address = ConnectionLimit.Network(address);
        name = name.ToLowerInvariant();
        lock (gate)
        {
            var now = time.GetTimestamp();
            MakeRoom(now);
            var failures = addresses.TryGetValue(address, out var kept) ? kept : addresses[address] = new Queue<long>();
            DropOld(failures, Minute, now);
            if (failures.Count >= PerAddress) return Minute - time.GetElapsedTime(failures.Peek(), now);
            var before = names.GetValueOrDefault((name, address));
            if (before.Failures > 0 && time.GetElapsedTime(before.Last, now) > Remembered) before = default;
            var rest = Pause(before.Failures) - (before.Failures == 0 ? TimeSpan.Zero : time.GetElapsedTime(before.Last, now));
            if (rest > TimeSpan.Zero) return rest;
            failures.Enqueue(now);
            names[(name, address)] = (before.Failures + 1, now);
            return TimeSpan.Zero;
        }
    }

    /// <summary>Takes back what <see cref="Take"/> has counted: it was no failure.</summary>
    public void Forgive(string name, IPAddress address)
    {
        address = ConnectionLimit.Network(address);
        lock (gate)
        {
            names.Remove((name.ToLowerInvariant(), address));
            // Any one of them: they differ by when they are forgotten.
            if (addresses.TryGetValue(address, out var failures)) failures.TryDequeue(out _);
        }
    }

    /// <summary>Counts a code of a person whose password was right; zero where it may be tried.</summary>
    public TimeSpan TakeCode(long userId)
    {
        lock (gate)
        {
            var now = time.GetTimestamp();
            var tried = codes.TryGetValue(userId, out var kept) ? kept : codes[userId] = new Queue<long>();
            DropOld(tried, CodesWithin, now);
            if (tried.Count >= CodesOfPerson) return CodesWithin - time.GetElapsedTime(tried.Peek(), now);
            tried.Enqueue(now);
            return TimeSpan.Zero;
        }
    }

    /// <summary>The code was right.</summary>
    public void ForgiveCodes(long userId)
    {
        lock (gate)
            codes.Remove(userId);
    }

    private static TimeSpan Pause(int failures)
    {
        if (failures < FreeFailures) return TimeSpan.Zero;
        var pause = FirstPause * Math.Pow(2, Math.Min(failures - FreeFailures, 20));
        return pause < LongestPause ? pause : LongestPause;
    }

    private void DropOld(Queue<long> times, TimeSpan after, long now)
    {
        while (times.TryPeek(out var first) && time.GetElapsedTime(first, now) > after) times.Dequeue();
    }

    // What is over goes first; where nothing is, a tenth of all goes, whichever: whoever fills the table has thousands of networks.
    private void MakeRoom(long now)
    {
        if (Kept < MostKept) return;
        foreach (var (address, failures) in addresses)
        {
            DropOld(failures, Minute, now);
            if (failures.Count == 0) addresses.Remove(address);
        }
        foreach (var (key, (_, last)) in names)
            if (time.GetElapsedTime(last, now) > Remembered)
                names.Remove(key);
        if (Kept < MostKept) return;
        foreach (var key in names.Keys.Take(MostKept / 10).ToArray()) names.Remove(key);
        foreach (var key in addresses.Keys.Take(MostKept / 10).ToArray()) addresses.Remove(key);
    }
}
