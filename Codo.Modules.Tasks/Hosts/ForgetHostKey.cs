using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>Forgets a host's key, so that the next connection pins the one that the host has now.</summary>
internal static class ForgetHostKey
{
    /// <param name="Port">22 when absent.</param>
    /// <param name="Path">The bastions on the way, as the list shows them; absent means that the host is reached directly.</param>
    internal sealed record Command(string? Host, int? Port, string? Path) : IRequest<Answer>;

    internal sealed record Gone(string Host, int Port, string Path, string KeyType, string Fingerprint);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.Host).Must(host => !string.IsNullOrWhiteSpace(host)).Refuse("host 不能为空", "host is missing");
            RuleFor(command => command.Port).Within(1, 65535, "port");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, Caller caller) : IRequestHandler<Command, Answer>
    {
        private const string RemoveSql = """
            DELETE FROM tasks.host_keys WHERE path = @Path AND host = @Host AND port = @Port RETURNING host, port, path, key_type, fingerprint
            """;

        public async Task<Answer> Handle(Command command, CancellationToken cancellationToken)
        {
            var (host, port) = (HostKeys.Name(command.Host!.Trim()), command.Port ?? 22);
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            // A row of a version before stands as the list shows it.
            var gone = await Remove(HostKeys.PathAsWritten(command.Path))
                ?? await Remove(HostKeys.NormalPath(command.Path))
                ?? throw Refusal.NotFound($"没有记录主机 {host}:{port} 的密钥", $"No key of {host}:{port} is pinned");
            await Audit.Write(connection, transaction, caller, "forget", "host_key", $"{host}:{port}", before: gone);
            await transaction.CommitAsync(cancellationToken);
            return new Answer(Messages.Deleted);

            Task<Gone?> Remove(string path) =>
                connection.QuerySingleOrDefaultAsync<Gone>(RemoveSql, new { Path = path, Host = host, Port = port }, transaction);
        }
    }
}
