using System.Collections.Concurrent;
using System.Threading.RateLimiting;

namespace Codo.Host;

/// <summary>
/// One token bucket for each key. They fill when they are asked, and no timer runs: .NET's <c>PartitionedRateLimiter</c> wakes ten times a second for as long
/// as it lives, which is much of what a host at rest takes.
/// </summary>
internal sealed class KeyedLimit<TKey>(Func<TKey, TokenBucketRateLimiterOptions> options) : IDisposable where TKey : notnull
{
    /// <summary>Requests between two looks for buckets that are full again, and are let go of.</summary>
    private const int SweepEvery = 1024;

    private readonly ConcurrentDictionary<TKey, TokenBucketRateLimiter> buckets = new();
    private int asked;

    /// <summary>Whether the key may have one more.</summary>
    public bool Takes(TKey key)
    {
        if (Interlocked.Increment(ref asked) % SweepEvery == 0) Sweep();
        while (true)
        {
            var bucket = buckets.GetOrAdd(key, Make);
            try
            {
                bucket.TryReplenish();
                using var lease = bucket.AttemptAcquire();
                return lease.IsAcquired;
            }
            catch (ObjectDisposedException)
            {
                // It was full, and was let go of in this instant.
                buckets.TryRemove(KeyValuePair.Create(key, bucket));
            }
        }
    }

    public void Dispose()
    {
        foreach (var bucket in buckets.Values) bucket.Dispose();
    }

    private TokenBucketRateLimiter Make(TKey key)
    {
        var made = options(key);
        made.AutoReplenishment = false;
        made.QueueLimit = 0;
        return new TokenBucketRateLimiter(made);
    }

    private void Sweep()
    {
        foreach (var (key, bucket) in buckets)
        {
            bucket.TryReplenish();
            if (bucket.IdleDuration is null || !buckets.TryRemove(KeyValuePair.Create(key, bucket))) continue;
            bucket.Dispose();
        }
    }
}
