using System.Security.Cryptography;
using System.Text;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>
/// Lets a terminal have a token: answers a grant, which the browser takes to the terminal's port on the same machine, and which is worth a token once, for two
/// minutes, to whoever has the verifier.
/// </summary>
internal static class ApproveTerminal
{
    internal sealed record Command(string? Challenge, string? Name, List<string>? Scopes, int? Days) : IRequest<Result>, CreateAccessToken.IWanted;

    internal sealed record Result(string Grant, string TerminalCode, DateTime Expires) : Answer(new Text("已允许，终端即将登录", "Allowed; the terminal signs in"));

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.Challenge)
                .Must(TerminalChallenge.IsOne)
                .Refuse("challenge 必填，是终端给出的 43 个字符", "challenge is required: the 43 characters that the terminal gives");
            Include(new CreateAccessToken.WantedValidator());
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, People people, Caller caller) : IRequestHandler<Command, Result>
    {
        private const string DropSql = """
            DELETE FROM accounts.terminal_login WHERE expires_at < clock_timestamp()
            """;

        private const string ApproveSql = """
            INSERT INTO accounts.terminal_login (digest, challenge, user_id, name, scopes, days, of_superuser, expires_at)
            VALUES (@Digest, @Challenge, @UserId, @Name, @Scopes, @Days, @IsSuperuser, clock_timestamp() + interval '2 minutes')
            RETURNING expires_at
            """;

        public async Task<Result> Handle(Command request, CancellationToken cancellationToken)
        {
            if (caller.AccessTokenId is not null)
                throw Refusal.Forbidden("访问令牌不能创建访问令牌", "An access token does not make another one");
            // Whoever asks was let in just now, and may not be written yet.
            await people.Record(cancellationToken);
            var (grant, code) = (AccessTokens.Make()[AccessTokens.Prefix.Length..], TerminalChallenge.CodeOf(request.Challenge!));
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            await connection.ExecuteAsync(DropSql, transaction: transaction);
            var scopes = CreateAccessToken.Ordered(request.Scopes!);
            var expires = await connection.QuerySingleAsync<DateTime>(
                ApproveSql,
                new
                {
                    Digest = Digest(grant),
                    request.Challenge,
                    caller.UserId,
                    Name = request.Name!.Trim(),
                    Scopes = scopes,
                    Days = request.Days!.Value,
                    caller.IsSuperuser,
                },
                transaction
            );
            await Audit.Write(connection, transaction, caller, "approve", "terminal", code, after: new { name = request.Name, scopes, request.Days });
            await transaction.CommitAsync(cancellationToken);
            return new Result(grant, code, expires);
        }
    }

    /// <summary>What is stored of a grant; it has 160 bits, so a plain digest does.</summary>
    internal static string Digest(string grant) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(grant)));
}
