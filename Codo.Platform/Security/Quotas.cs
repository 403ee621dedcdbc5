using System.Collections.Concurrent;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Codo.Platform.Data;
using Codo.Platform.Http;

namespace Codo.Platform.Security;

/// <summary>
/// The section <c>Codo:Quotas</c>: what one person may take. 0 is no quota; null is the default, and no quota on installations that are older than quotas.
/// </summary>
public sealed class QuotaSettings
{
    /// <summary>Executions of a person's jobs, and hosts of a person's orders, that run at once on a node.</summary>
    [Range(0, 10_000)]
    public int? Runs { get; set; }

    /// <summary>Orders of a person that await their approval.</summary>
    [Range(0, 1_000_000)]
    public int? PendingOrders { get; set; }

    /// <summary>Jobs that a person has made.</summary>
    [Range(0, 1_000_000)]
    public int? Jobs { get; set; }

    /// <summary>Streams and WebSockets of a person that are open at once on a node.</summary>
    [Range(0, 1_000_000)]
    public int? Streams { get; set; }

    /// <summary>
    /// Requests of a person that are answered at once on a node; more wait for their turn. In force on older installations as well, since it delays and refuses
    /// only what comes when hundreds wait already.
    /// </summary>
    [Range(0, 10_000)]
    public int Requests { get; set; } = 8;

    /// <summary>Bytes of request bodies of a person in a minute on a node.</summary>
    [Range(0L, 1L << 40)]
    public long? BytesPerMinute { get; set; }
}

/// <summary>The quotas in force. Superusers, who set them, have none; what a superuser's jobs and orders run counts as anybody's.</summary>
public sealed class Quotas(QuotaSettings settings, KeptRules kept, TimeProvider time)
{
    private const int DefaultRuns = 150, DefaultPendingOrders = 200, DefaultJobs = 2000, DefaultStreams = 50;
    private const long DefaultBytesPerMinute = 64 << 20;

    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<long, Spent> spent = new();

    public ValueTask<int> Runs() => InForce(settings.Runs, DefaultRuns);

    public ValueTask<int> PendingOrders() => InForce(settings.PendingOrders, DefaultPendingOrders);

    public ValueTask<int> Jobs() => InForce(settings.Jobs, DefaultJobs);

    public ValueTask<int> Streams() => InForce(settings.Streams, DefaultStreams);

    public int Requests => settings.Requests;

    /// <summary>Whether the caller may hold one more of something.</summary>
    /// <param name="quota">0 for none.</param>
    /// <param name="has">How many the caller has.</param>
    public static bool HasRoom(Caller caller, int quota, long has) => quota == 0 || caller.IsSuperuser || has < quota;

    /// <summary>Counts the bytes of a body; false when the caller's minute is full.</summary>
    public async ValueTask<bool> Take(Caller caller, long bytes)
    {
        if (caller.IsSuperuser) return true;
        var most = settings.BytesPerMinute ?? (await IsOff() ? 0 : DefaultBytesPerMinute);
        if (most == 0) return true;
        var mine = spent.GetOrAdd(caller.UserId, _ => new Spent());
        lock (mine)
        {
            if (time.GetElapsedTime(mine.Since) > Minute) (mine.Since, mine.Bytes) = (time.GetTimestamp(), 0);
            mine.Bytes += bytes;
            return mine.Bytes <= most;
        }
    }

    /// <summary>What is in force, in words for health: an upgraded installation has none until somebody sets them.</summary>
    public async ValueTask<string> InWords()
    {
        var off = await IsOff();
        var bytes = settings.BytesPerMinute ?? (off ? 0 : DefaultBytesPerMinute);
        var words =
            $"runs {Word(await Runs())}, pending orders {Word(await PendingOrders())}, jobs {Word(await Jobs())}, streams {Word(await Streams())}, bytes a "
                + $"minute {Word(bytes)}";
        return off ? $"{words}: this installation is older than quotas, and those that Codo:Quotas does not set are off" : words;
    }

    private static string Word(long quota) => quota == 0 ? "no quota" : quota.ToString(CultureInfo.InvariantCulture);

    private async ValueTask<int> InForce(int? set, int ordinary) => set ?? (await IsOff() ? 0 : ordinary);

    private async ValueTask<bool> IsOff() => await kept.Read("keep.quotas") == "off";

    private sealed class Spent
    {
        public long Since { get; set; }

        public long Bytes { get; set; }
    }
}
