using Codo.Platform.Http;
using Dapper;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

internal static class ListExecuteUsers
{
    internal sealed record Query : IRequest<Result>;

    internal sealed record Result(IReadOnlyList<Row> Data) : Answer(Say.Fetched);

    internal sealed record Row(long Id, string AliasUser, string ExecUser, int SshPort, string Remarks, DateTime UpdateTime, string Encoding)
    {
        /// <summary>Always empty: a field that the console's form has.</summary>
        public string Password => "";

        public string UserKey => ExecuteUser.Mask;
    }

    internal sealed class Handler(NpgsqlDataSource source) : IRequestHandler<Query, Result>
    {
        private const string RowsSql = """
            SELECT id, alias_user, exec_user, ssh_port, remarks, update_time, encoding FROM tasks.scheduler_execute_user ORDER BY id
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            return new Result((await connection.QueryAsync<Row>(RowsSql)).AsList());
        }
    }
}
