using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Rules;

/// <summary>For a time, what it means is recorded and nobody is told.</summary>
internal static class CreateSilence
{
    internal sealed record Command(string? Source, string? Kind, string? Subject, string? StartsAt, string? EndsAt, string? Reason, string? Space = null)
        : IRequest<Result>;

    internal sealed record Result(long SilenceId) : Answer(Messages.Added);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(silence => silence.Source).OneOf("source", "", "job", "order", "codo");
            RuleFor(silence => silence.Kind).OneOf("kind", ["", .. Matching.Kinds]);
            RuleFor(silence => silence.Subject).AtMost(200, "subject");
            RuleFor(silence => silence.Reason).Must(reason => !string.IsNullOrWhiteSpace(reason)).Refuse("reason 不能为空", "reason is missing");
            RuleFor(silence => silence.Reason).AtMost(1000, "reason");
            RuleFor(silence => silence.EndsAt).NotNull().Refuse("ends_at 不能为空", "ends_at is missing");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Zone zone, Access access, TimeProvider time) : IRequestHandler<Command, Result>
    {
        private const string InsertSql = """
            INSERT INTO alerts.silence (source, kind, subject, starts_at, ends_at, reason, creator_id, creator, space_id)
            VALUES (@Source, @Kind, @Subject, @StartsAt, @EndsAt, @Reason, @CreatorId, @Creator, @SpaceId) RETURNING silence_id
            """;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            var (caller, space) = (access.Caller, await access.SpaceForNew(ResourceKind.Rule, request.Space));
            var now = time.GetUtcNow();
            var starts = Read(request.StartsAt, "starts_at") ?? now;
            // A time in the past means now.
            if (starts < now) starts = now;
            var ends = Read(request.EndsAt, "ends_at")!.Value;
            if (ends <= starts) throw Refusal.Invalid("ends_at 必须晚于 starts_at 和现在", "ends_at must be after starts_at and after now");
            var silence = new
            {
                Source = request.Source ?? "",
                Kind = request.Kind ?? "",
                Subject = RuleFields.SubjectOf(request.Subject) ?? "*",
                StartsAt = starts.UtcDateTime,
                EndsAt = ends.UtcDateTime,
                request.Reason,
                CreatorId = caller.UserId,
                Creator = caller.Nickname,
                SpaceId = space,
            };
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var id = await connection.ExecuteScalarAsync<long>(InsertSql, silence, transaction);
            await Audit.Write(connection, transaction, caller, "create", "silence", $"{id}", after: silence);
            await transaction.CommitAsync(cancellationToken);
            return new Result(id);
        }

        private DateTimeOffset? Read(string? text, string field)
        {
            if (text is null) return null;
            return Times.TryParse(text, zone.Info, out var read) ? read : throw Refusal.Invalid($"{field} {Times.Expected.Zh}", $"{field} {Times.Expected.En}");
        }
    }
}
