using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Alerts.Rules;

/// <summary>Ends a silence before its time.</summary>
internal static class DeleteSilence
{
    internal sealed record Command(long? SilenceId) : IRequest<Answer>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(silence => silence.SilenceId).NotNull().Refuse("ID不能为空", "silence_id is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Command, Answer>
    {
        private const string DeleteSql = """
            DELETE FROM alerts.silence WHERE silence_id = @SilenceId RETURNING silence_id, source, kind, subject, starts_at, ends_at, reason, creator, space_id
            """;

        public async Task<Answer> Handle(Command request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            await AlertAccess.Demand(access, Verbs.Edit, await AlertAccess.Silence(connection, request.SilenceId!.Value));
            var gone =
                await connection.QuerySingleOrDefaultAsync<ListSilences.View>(DeleteSql, new { request.SilenceId }, transaction) ?? throw RuleFields.NoSuchId;
            await Audit.Write(connection, transaction, access.Caller, "delete", "silence", $"{request.SilenceId}", before: gone);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Deleted);
        }
    }
}
