using Codo.Platform.Events;
using Codo.Platform.Localization;
using Dapper;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Platform.Cluster;

/// <summary>What waits for a node that fits, by a selector.</summary>
/// <param name="Name">Of the job, or the order.</param>
public sealed record Unplaced(string Name, string Selector);

/// <summary>
/// Looks for work that has waited for <see cref="Patience"/> and that no live node may take, by its selector. Its row says so until a node takes it or fits,
/// and one incident names all of it. Every node looks; the changes of rows are guarded.
/// </summary>
public abstract class PlacementWatch(NpgsqlDataSource source, Node node, IServiceScopeFactory scopes)
{
    /// <summary>Seconds that work waits for a node that fits before that is a trouble.</summary>
    public const int Patience = 30;

    private const int MostNamed = 5;

    public static readonly TimeSpan Period = TimeSpan.FromSeconds(5), LongestRest = TimeSpan.FromSeconds(20);

    private string? told;

    /// <summary>The key of the incident.</summary>
    protected abstract string Problem { get; }

    protected abstract Text Title { get; }

    /// <summary>Whether anything waits that has a selector; asked every few seconds, so by an index.</summary>
    protected abstract Task<bool> Any(NpgsqlConnection connection);

    /// <summary>Marks what no live node fits and unmarks what one does; answers what is marked.</summary>
    protected abstract Task<IEnumerable<Unplaced>> Mark(NpgsqlConnection connection);

    /// <summary>Looks once; answers whether anything waits that has a selector.</summary>
    public async Task<bool> Poll(CancellationToken cancellation)
    {
        // After PostgreSQL was away every lease looks old for a moment.
        if (!node.SteadyForALease) return true;
        await using var connection = await source.OpenConnectionAsync(cancellation);
        var isAny = await Any(connection);
        if (!isAny && told is "") return false;
        await Tell([.. isAny ? await Mark(connection) : []]);
        return isAny;
    }

    /// <summary>What a row says.</summary>
    /// <param name="selector">Or the word that a statement replaces by it.</param>
    protected static Text Cause(string selector) =>
        new($"没有存活的节点符合 {selector}，等待中", $"No live node fits {selector}: it waits for one that does");

    private async Task Tell(List<Unplaced> all)
    {
        var named = string.Join(", ", all.Take(MostNamed).Select(one => $"{one.Name} ({one.Selector})")) + (all.Count > MostNamed ? ", …" : "");
        if (named == told) return;
        await using var scope = scopes.CreateAsyncScope();
        var mediator = scope.ServiceProvider.GetRequiredService<IMediator>();
        if (all.Count == 0) await mediator.Publish(new SystemTroubleOver(Problem));
        else
            await mediator.Publish(
                new SystemTroubleFound(
                    Problem,
                    Title,
                    new Text(
                        $"没有存活的节点符合以下选择条件：{named}。请启动或恢复符合的节点，或修改条件",
                        $"No live node fits these selectors: {named}. Start or undrain a node that fits, or change the selector"
                    )
                )
            );
        told = named;
    }
}

/// <summary>Which live nodes fit a selector.</summary>
public static class FittingNodes
{
    private const string HasSql = """
        SELECT platform.has_node(@Role, @Selector)
        """;

    /// <summary>A warning where no live node fits; none for the empty selector.</summary>
    public static async Task<IReadOnlyList<Text>> Warnings(NpgsqlConnection connection, string role, string field, string selector) =>
        selector.Length == 0 || await connection.ExecuteScalarAsync<bool>(HasSql, new { Role = role, Selector = selector })
            ? []
            : [new Text($"{field}：目前没有存活的节点符合 {selector}", $"{field}: no live node fits {selector} now")];
}
