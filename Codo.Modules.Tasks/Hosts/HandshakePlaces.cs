namespace Codo.Modules.Tasks.Hosts;

/// <summary>
/// How many key exchanges this process works on at once. They are work for the CPU: 200 at once on two cores would all run into their time limits. A host
/// that lets the exchange stand still is no work, and takes a place from nobody: its place is given back after a moment, and the exchange goes on without.
/// </summary>
internal sealed class HandshakePlaces(int count, TimeSpan limit) : IDisposable
{
    private readonly SemaphoreSlim places = new(count);

    /// <summary>Waits for a place; whoever disposes what it answers gives it back.</summary>
    public IDisposable Take()
    {
        places.Wait();
        return new Taken(places, limit);
    }

    public void Dispose() => places.Dispose();

    private sealed class Taken : IDisposable
    {
        private readonly SemaphoreSlim places;
        private readonly Timer timer;
        private int givenBack;

        public Taken(SemaphoreSlim places, TimeSpan limit)
        {
            this.places = places;
            timer = new Timer(taken => ((Taken)taken!).Dispose(), this, limit, Timeout.InfiniteTimeSpan);
        }

        public void Dispose()
        {
            if (Interlocked.Exchange(ref givenBack, 1) == 1) return;
            timer.Dispose();
            places.Release();
        }
    }
}
