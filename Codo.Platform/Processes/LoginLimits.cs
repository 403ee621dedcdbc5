using System.Globalization;

namespace Codo.Platform.Processes;

/// <summary>
/// The resource limits that a login would give a user: <c>/etc/security/limits.conf</c> and <c>limits.d/*.conf</c>, read as <c>pam_limits</c> reads them, and
/// applied with <c>prlimit</c>. Not taken from there: <c>maxlogins</c>, <c>maxsyslogins</c>, <c>nonewprivs</c>, <c>priority</c> and <c>chroot</c>, nor rules
/// for ranges of user and group numbers (<c>1000:2000</c>, <c>@1000:</c>). A limit above the host's own hard one needs root; without it the host's is taken.
/// </summary>
public static class LoginLimits
{
    private const string Folder = "/etc/security";

    // The item's name, prlimit's option, the kernel's number, and what one unit is in the kernel's.
    private static readonly (string Item, string Option, int Number, ulong Unit)[] Known =
    [
        ("as", "as", 9, 1024),
        ("core", "core", 4, 1024),
        ("cpu", "cpu", 0, 60),
        ("data", "data", 2, 1024),
        ("fsize", "fsize", 1, 1024),
        ("locks", "locks", 10, 1),
        ("memlock", "memlock", 8, 1024),
        ("msgqueue", "msgqueue", 12, 1),
        ("nice", "nice", 13, 1),
        ("nofile", "nofile", 7, 1),
        ("nproc", "nproc", 6, 1),
        ("rss", "rss", 5, 1024),
        ("rtprio", "rtprio", 14, 1),
        ("sigpending", "sigpending", 11, 1),
        ("stack", "stack", 3, 1024),
    ];

    private static (DateTime ReadAt, string[] Lines) latest = (DateTime.MinValue, []);

    /// <summary>The words in front of a command that give it the user's limits; none where nothing is set for the user.</summary>
    internal static IReadOnlyList<string> Of(SystemUser user)
    {
        var lines = Lines();
        return lines.Length == 0 ? [] : Of(user, lines, () => user.GroupNames());
    }

    internal static IReadOnlyList<string> Of(SystemUser user, IEnumerable<string> lines, Func<IReadOnlyList<string>> groupsOf)
    {
        var groups = new Lazy<IReadOnlyList<string>>(groupsOf);
        // The nearest rule decides: the user's own, then a group's, then everybody's; of equals the last.
        var found = new Dictionary<(string Option, bool Hard), (int Nearness, ulong? Value)>();
        foreach (var line in lines)
        {
            var words = line.Split('#')[0].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (
                words.Length != 4
                || Known.FirstOrDefault(item => item.Item == words[2]) is not { Item: not null } item
                || Nearness(words[0], user, groups) is not { } nearness
                || ValueOf(words[3], item) is not { } value
            )
                continue;
            if (words[1] is "soft" or "-")
                Take(hard: false);
            if (words[1] is "hard" or "-")
                Take(hard: true);

            void Take(bool hard)
            {
                if (!found.TryGetValue((item.Option, hard), out var other) || other.Nearness <= nearness) found[(item.Option, hard)] = (nearness, value.Limit);
            }
        }

        var limits = found
            .Keys.Select(key => key.Option)
            .Distinct()
            .Order(StringComparer.Ordinal)
            .Select(option => Option(option, found))
            .OfType<string>()
            .ToList();
        return limits.Count == 0 ? [] : ["prlimit", .. limits, "--"];
    }

    private static string? Option(string option, Dictionary<(string Option, bool Hard), (int Nearness, ulong? Value)> found)
    {
        if (Descriptors.LimitOf(Known.First(item => item.Option == option).Number) is not var (ownSoft, ownHard)) return null;
        if (option == "nofile") ownSoft = (ulong)Descriptors.SoftLimitOfLogin;
        var hard = found.TryGetValue((option, true), out var setHard) ? setHard.Value ?? ulong.MaxValue : ownHard;
        if (hard > ownHard && !HostPrivileges.CanRaiseLimits) hard = ownHard;
        // The kernel takes no more, not even from root: prlimit would fail, and nothing would be run.
        if (option == "nofile") hard = Math.Min(hard, MostOpenFiles());
        var soft = Math.Min(found.TryGetValue((option, false), out var setSoft) ? setSoft.Value ?? ulong.MaxValue : ownSoft, hard);
        return $"--{option}={Word(soft)}:{Word(hard)}";

        static string Word(ulong limit) => limit == ulong.MaxValue ? "unlimited" : limit.ToString(CultureInfo.InvariantCulture);
    }

    private static ulong MostOpenFiles()
    {
        try
        {
            return ulong.TryParse(File.ReadAllText("/proc/sys/fs/nr_open").AsSpan().Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var most)
                ? most
                : ulong.MaxValue;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // A container may have it masked. Then the kernel's limit is not known, and most limits lie below it.
            return ulong.MaxValue;
        }
    }

    private static int? Nearness(string domain, SystemUser user, Lazy<IReadOnlyList<string>> groups)
    {
        // As in pam_limits, * is not for root.
        if (domain == "*") return user.Id == 0 ? null : 0;
        if (domain.StartsWith('@')) return groups.Value.Contains(domain[1..], StringComparer.Ordinal) ? 1 : null;
        return domain == user.Name ? 2 : null;
    }

    private static (ulong? Limit, bool Given)? ValueOf(string word, (string Item, string Option, int Number, ulong Unit) item)
    {
        if (word is "unlimited" or "infinity" or "-1")
            return (null, true);
        if (item.Item == "nice")
            return int.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var nice) && nice is >= -20 and <= 19
                ? ((ulong)(20 - nice), true)
                : null;
        return ulong.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value <= ulong.MaxValue / item.Unit
            ? (value * item.Unit, true)
            : null;
    }

    // Read again when one of the files has changed: a login would see that too.
    private static string[] Lines()
    {
        try
        {
            var files = Directory.Exists(Folder + "/limits.d")
                ? Directory.GetFiles(Folder + "/limits.d", "*.conf").Order(StringComparer.Ordinal).Prepend(Folder + "/limits.conf").Where(File.Exists).ToList()
                : [Folder + "/limits.conf"];
            var changed = files.Append(Folder).Append(Folder + "/limits.d").Max(File.GetLastWriteTimeUtc);
            if (latest.ReadAt == changed) return latest.Lines;
            var lines = files.SelectMany(File.ReadLines).Where(line => line.TrimStart() is { Length: > 0 } text && text[0] != '#').ToArray();
            latest = (changed, lines);
            return lines;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
