using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Operations;

/// <summary>Which nodes that take new work now fit a selector: what whoever edits a job or a step wants to know before it is saved.</summary>
internal static class FitNodes
{
    /// <param name="Node">The selector; empty is every node.</param>
    /// <param name="Role"><c>cron</c> for a job, <c>orders</c> for a step; null is any.</param>
    internal sealed record Query(string? Node, string? Role) : IRequest<Result>;

    /// <param name="Selector">In the form that is stored.</param>
    internal sealed record Result(string Selector, List<Row> Data) : Answer(Messages.Fetched);

    internal sealed class Row
    {
        public string Name { get; init; } = "";

        public string[] Tags { get; init; } = [];
    }

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.Node).IsSelector("node");
            RuleFor(query => query.Role).OneOf("role", [.. NodeRoles.All]);
        }
    }

    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<Query, Result>
    {
        private const string FitSql = """
            SELECT name, tags FROM platform.live_node
            WHERE (CAST(@Role AS text) IS NULL OR CAST(@Role AS text) = ANY (roles))
                AND platform.fits(labels, @Selector)
            ORDER BY name
            """;

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var selector = NodeSelector.Form(request.Node);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            return new Result(selector, (await connection.QueryAsync<Row>(FitSql, new { request.Role, Selector = selector })).AsList());
        }
    }
}
