using System.Text.Json;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Rules;

internal static class CreateRule
{
    internal sealed record Command(
        string? Name,
        bool? Enabled,
        int? Priority,
        string? Source,
        string[]? Kinds,
        string? Subject,
        int? Failures,
        int? WaitsAfter,
        int? RunsAfter,
        bool? Involved,
        string[]? People,
        string[][]? Escalation,
        int? EscalateAfter,
        int? RepeatAfter,
        long[]? Channels,
        string? Space = null
    ) : IRequest<Result>, IRuleFields;

    internal sealed record Result(long RuleId) : Answer(Messages.Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(rule => rule.Name).NotNull().Refuse("名称不能为空", "The name is missing");
            this.Fields();
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Command, Result>
    {
        private const string InsertSql = """
            INSERT INTO alerts.rule (name, enabled, priority, source, kinds, subject, failures, waits_after, runs_after, involved, people, escalation,
                escalate_after, repeat_after, channels, creator, space_id)
            VALUES (@Name, @Enabled, @Priority, @Source, @Kinds, @Subject, @Failures, nullif(@WaitsAfter, 0), nullif(@RunsAfter, 0), @Involved, @People,
                CAST(@Escalation AS jsonb), @EscalateAfter,
                @RepeatAfter, @Channels, @Creator, @SpaceId)
            ON CONFLICT (name) DO NOTHING RETURNING rule_id
            """;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var (caller, space) = (access.Caller, await access.SpaceForNew(ResourceKind.Rule, request.Space));
            var rule = new
            {
                request.Name,
                Enabled = request.Enabled ?? true,
                Priority = request.Priority ?? 0,
                Source = request.Source ?? "",
                Kinds = request.Kinds ?? [],
                Subject = RuleFields.SubjectOf(request.Subject) ?? "*",
                Failures = request.Failures ?? 1,
                WaitsAfter = request.WaitsAfter ?? 0,
                RunsAfter = request.RunsAfter ?? 0,
                Involved = request.Involved ?? true,
                People = request.People ?? [],
                Escalation = JsonSerializer.Serialize(request.Escalation ?? []),
                EscalateAfter = request.EscalateAfter ?? 900,
                RepeatAfter = request.RepeatAfter ?? 14_400,
                Channels = request.Channels ?? [],
                Creator = caller.Nickname,
                SpaceId = space,
            };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            await RuleFields.DemandChannels(connection, transaction, request.Channels, space);
            var id = await connection.ExecuteScalarAsync<long?>(InsertSql, rule, transaction) ?? throw RuleFields.NameIsTaken;
            await Audit.Write(connection, transaction, caller, "create", "alert_rule", $"{id}", after: rule);
            await transaction.CommitAsync(cancellationToken);
            return new Result(id);
        }
    }
}
