using System.Globalization;
using System.Runtime.CompilerServices;
using Codo.Platform.Security;
using Codo.Platform.Ui;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>That something in the list of orders that have not ended is otherwise.</summary>
internal sealed class OrdersTopic(NpgsqlDataSource source, TimeProvider time) : PolledTopic(source, time)
{
    // A million ended orders cost nothing: the newest id says that one was made, the open ones what became of it.
    private const string VersionSql = """
        SELECT md5(COALESCE((SELECT max(list_id) FROM tasks.scheduler_task_list), 0) || '.' ||
            COALESCE((SELECT string_agg(list_id || schedule || status || hold || start_time, ',' ORDER BY list_id)
                FROM tasks.scheduler_task_list WHERE schedule <> 'OK'), '') ||
            '.' || COALESCE((SELECT max(approval_id) FROM tasks.approval), 0))
        """;

    public override string Name => "orders";

    protected override Task<string> Read(NpgsqlConnection connection, string argument, CancellationToken cancellation) =>
        connection.QuerySingleAsync<string>(new CommandDefinition(VersionSql, cancellationToken: cancellation));
}

/// <summary>One order's hosts and steps: all of it first, then what changes, as its own stream has it.</summary>
internal sealed class OrderTopic(NpgsqlDataSource source, OrderFeeds feeds) : ILiveTopic
{
    // Long enough that an order nobody changes costs nothing.
    private static readonly TimeSpan Silence = TimeSpan.FromMinutes(5);

    public string Name => "order";

    public Task<string?> Version(string argument, Access access, CancellationToken cancellation) => Task.FromResult<string?>(null);

    public async IAsyncEnumerable<LiveChange> Follow(string argument, Access access, string? known, [EnumeratorCancellation] CancellationToken cancellation)
    {
        if (!long.TryParse(argument, NumberStyles.None, CultureInfo.InvariantCulture, out var listId)) throw OrderAccess.NoSuchOrder;
        await using (var connection = await source.OpenConnectionAsync(cancellation))
            if (!await OrderAccess.Sees(connection, access, listId))
                throw OrderAccess.NoSuchOrder;
        var feed = feeds.Share(listId);
        try
        {
            if (Seen(feed, known) is not { } seen)
            {
                var (grid, version) = await feed.Whole(cancellation);
                yield return new LiveChange(Id(feed, seen = version), new { order = grid.Order, groups = grid.Groups });
            }
            while (true)
            {
                if (await feed.Since(seen, Silence, cancellation) is not { } change) continue;
                yield return new LiveChange(Id(feed, seen = change.Version), new { order = change.Order, lanes = change.Lanes });
            }
        }
        finally
        {
            feeds.Return(feed);
        }
    }

    private static string Id(OrderFeed feed, long version) => string.Create(CultureInfo.InvariantCulture, $"{feed.Name}:{version}");

    private static long? Seen(OrderFeed feed, string? id) =>
        id?.Split(':') is [var name, var text] && name == feed.Name && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var version)
            ? version
            : null;
}
