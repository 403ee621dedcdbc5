using System.Globalization;
using System.Runtime.CompilerServices;
using Codo.Platform.Security;
using Codo.Platform.Ui;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>That a log has more lines; whoever follows reads them from where they are.</summary>
internal sealed class LogTopic(NpgsqlDataSource source, LogFeeds feeds) : ILiveTopic
{
    // A command that prints without end is read some times a second, each time as much as there is.
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    public string Name => "log";

    public Task<string?> Version(string argument, Access access, CancellationToken cancellation) => Task.FromResult<string?>(null);

    public async IAsyncEnumerable<LiveChange> Follow(string argument, Access access, string? known, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var feed = feeds.Share(await LogAccess.Open(source, access, argument, cancellation));
        using var follower = new Follower();
        feed.Join(follower);
        try
        {
            while (true)
            {
                var next = feed.NextChange;
                yield return new LiveChange(feed.BytesEver.ToString(CultureInfo.InvariantCulture));
                await next.WaitAsync(cancellation);
                await Task.Delay(Pause, cancellation);
            }
        }
        finally
        {
            feed.Leave(follower);
            feeds.Return(feed);
        }
    }
}
