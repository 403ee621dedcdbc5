using System.Text.Json.Serialization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class ListExecuteUsers
{
    internal sealed record Query : IRequest<Result>;

    internal sealed record Result(IAsyncEnumerable<Row> Data) : Answer(Messages.Fetched);

    /// <param name="SshPort">The port of SSH on the hosts.</param>
    /// <param name="SshHost">The machine that is entered when this is another's bastion; else empty.</param>
    /// <param name="Via">The alias of the bastion; empty when the hosts are reached directly.</param>
    /// <param name="Certificate">The OpenSSH certificate of the key, which is public; empty when there is none.</param>
    /// <param name="Encoding">What commands on its hosts are handed over in, and what they write.</param>
    internal sealed record Row(
        long Id,
        string AliasUser,
        string ExecUser,
        int SshPort,
        string SshHost,
        string Via,
        string Certificate,
        string Remarks,
        DateTime UpdateTime,
        string Encoding,
        [property: JsonIgnore] string UserLines,
        [property: JsonIgnore] long SpaceId
    )
    {
        /// <summary>Always empty: a field that the console's form has.</summary>
        public string Password => "";

        /// <summary>Who may name it in a step, each <c>{user_id},,,{nickname}</c>; none is everybody with the operator's right.</summary>
        public IReadOnlyList<string> Users => UserLines.Split('\n', StringSplitOptions.RemoveEmptyEntries);

        public string UserKey => ExecuteUser.Mask;

        public string Space { get; init; } = "";
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const string RowsSql = $"""
            SELECT u.id, u.alias_user, u.exec_user, u.ssh_port, u.ssh_host, COALESCE(v.alias_user, '') AS via, u.certificate, u.remarks, u.update_time,
                u.encoding,
                COALESCE((SELECT string_agg(r.user_id || ',,,' || replace(r.nickname, E'\n', ' '), E'\n' ORDER BY r.place)
                    FROM tasks.scheduler_execute_user_right r WHERE r.exec_user_id = u.id), '') AS user_lines, u.space_id
            FROM tasks.scheduler_execute_user u LEFT JOIN tasks.scheduler_execute_user v ON v.id = u.via_id WHERE u.id > @After AND {ExecuteUserRight.Visible}
            ORDER BY u.id LIMIT @Limit
            """;

        public Task<Result> Handle(Query query, CancellationToken cancellationToken) =>
            Task.FromResult(new Result(Chunks.All<Row>(row => row.Id, Read, cancellationToken)));

        private async Task<IReadOnlyList<Row>> Read(long after, int some, CancellationToken cancellation)
        {
            await using var connection = await source.OpenConnectionAsync(cancellation);
            var sight = access.Sees(ResourceKind.ExecuteUser);
            var asked = new
            {
                SeesAll = sight.All,
                sight.Spaces,
                Objects = sight.Numbers,
                After = after,
                Limit = some,
            };
            return [.. (await connection.QueryAsync<Row>(RowsSql, asked)).Select(row => row with { Space = access.NameOf(row.SpaceId) })];
        }
    }
}
