using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>A person takes an incident on, or closes it.</summary>
internal static class ChangeIncident
{
    internal sealed record Command(long? Id, string? Action) : IRequest<Result>;

    internal sealed record Result(long Id, string State)
        : Answer(State == IncidentState.Resolved.Word() ? new Text("已解决", "Resolved") : new Text("已确认", "Acknowledged"));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.Id).NotNull().Refuse("ID不能为空", "id is missing");
            RuleFor(command => command.Action).NotNull().Refuse("action 不能为空", "action is missing");
            RuleFor(command => command.Action).OneOf("action", "acknowledge", "resolve");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access, IEnumerable<IResourceReader> readers, TimeProvider time)
        : IRequestHandler<Command, Result>
    {
        private const string LockSql = $"""
            SELECT m.state, m.space_id, m.told_by_name, m.told_ids FROM alerts.task_monitor m WHERE m.id = @Id AND {IncidentVisibility.Visible} FOR UPDATE
            """;

        private const string IsThereSql = """
            SELECT EXISTS (SELECT FROM alerts.task_monitor WHERE id = @Id)
            """;

        private const string AcknowledgeSql = """
            UPDATE alerts.task_monitor SET state = 'acknowledged', acknowledger_id = @UserId, acknowledger = @Name, acknowledged_at = @Now,
                escalate_at = NULL WHERE id = @Id AND state = ANY(@From)
            """;

        private const string ResolveSql = """
            UPDATE alerts.task_monitor SET state = 'resolved', ending = 'person', resolver = @Name, resolved_at = @Now, escalate_at = NULL WHERE id = @Id
                AND state = ANY(@From)
            """;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            var action = command.Action == "resolve" ? IncidentAction.Resolve : IncidentAction.Acknowledge;
            var caller = access.Caller;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var asked = new DynamicParameters(await IncidentVisibility.Parameters(connection, access, readers));
            asked.AddDynamicParams(new { command.Id });
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var before =
                await connection.QuerySingleOrDefaultAsync<Row>(
                    LockSql,
                    asked,
                    transaction
                ) ?? throw await Absent(connection, transaction, command.Id!.Value);
            if (!await IncidentVisibility.MayActOn(access, before.SpaceId, before.ToldByName, before.ToldIds))
                throw new Refusal(-2, IncidentVisibility.OnlyTold, RefusalKind.Forbidden);
            var changed = await connection.ExecuteAsync(
                action == IncidentAction.Resolve ? ResolveSql : AcknowledgeSql,
                new { command.Id, caller.UserId, Name = caller.Nickname, Now = time.GetUtcNow().UtcDateTime, From = IncidentStates.From(action) }, transaction);
            if (changed == 0) throw Refusal.Conflict($"事件 {command.Id} 的状态是 {before.State}", $"Incident {command.Id} is {before.State}");
            var after = (action == IncidentAction.Resolve ? IncidentState.Resolved : IncidentState.Acknowledged).Word();
            await Audit.Write(connection, transaction, caller, command.Action!, "incident", $"{command.Id}", new { before.State }, new { State = after });
            await transaction.CommitAsync(cancellationToken);
            return new Result(command.Id!.Value, after);
        }

        private static async Task<Refusal> Absent(NpgsqlConnection connection, NpgsqlTransaction transaction, long id)
        {
            var absent = Refusal.NotFound($"事件 {id} 不存在", $"There is no incident {id}");
            return await connection.ExecuteScalarAsync<bool>(IsThereSql, new { Id = id }, transaction) ? absent.AsHidden() : absent;
        }

        private sealed record Row
        {
            public string State { get; init; } = "";
            public long SpaceId { get; init; }
            public string[] ToldByName { get; init; } = [];
            public long[] ToldIds { get; init; } = [];
        }
    }
}
