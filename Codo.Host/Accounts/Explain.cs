using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Whether a person may do something to an object, and by what; or what is missing, and who can grant it. It asks what the gate asks.</summary>
internal static class Explain
{
    /// <param name="Person">Absent is the caller.</param>
    /// <param name="Space">Where what is to be made goes; absent is <c>default</c>.</param>
    internal sealed record Query(long? Person, string? Verb, string? Object, string? Space) : IRequest<Result>;

    /// <param name="By">What allows it; empty when nothing does.</param>
    /// <param name="Missing">What is missing, and who can grant it; empty when it is allowed.</param>
    internal sealed record Result(long Person, string Verb, string Object, bool Allowed, Text By, Text Missing) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            RuleFor(query => query.Verb).NotNull().Refuse("verb 不能为空", "verb is missing");
            RuleFor(query => query.Verb).OneOf("verb", [.. Roles.Words.Keys]);
            RuleFor(query => query.Object).NotEmpty().Refuse("object 不能为空", "object is missing");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, NamedObjects objects, Access access, TimeProvider time) : IRequestHandler<Query, Result>
    {
        // Whoever has never been here has what grants give by id, and what everyone has.
        private const string PersonSql = """
            SELECT username, nickname, is_superuser, disabled FROM accounts.person WHERE user_id = @Id
            """;

        private static readonly Text IsShutOut = new("此人已被停用；可由超级用户恢复", "The person is shut out; a superuser can let them in");

        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            var now = time.GetUtcNow().UtcDateTime;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var on = await objects.Find(connection, request.Object, request.Space);
            var person = access.Caller;
            if (request.Person is { } id && id != person.UserId)
            {
                if (!await access.May(Verbs.Admin, on) && !await access.May(Verbs.Admin, NamedObjects.OfSpace(on.Space)))
                    throw access.Refuse(Verbs.Admin, NamedObjects.OfSpace(on.Space));
                var row = await connection.QuerySingleOrDefaultAsync<Row>(PersonSql, new { Id = id });
                // The gate takes no token of theirs.
                if (row is { Disabled: true }) return new Result(id, request.Verb!, request.Object!, false, Text.Same(""), IsShutOut);
                person = new Caller(id, row?.Username ?? "", row?.Nickname ?? "", "", row?.IsSuperuser ?? false, "", "");
            }
            var verb = Roles.Words[request.Verb!];
            var (decision, missing) = await objects.Decide(connection, person, verb, on, now);
            return new Result(
                person.UserId,
                request.Verb!,
                request.Object!,
                decision.IsAllowed,
                decision.IsAllowed ? Explanation.Allowed(access.Rules, decision, on) : Text.Same(""),
                missing
            );
        }

        private sealed record Row(string Username, string Nickname, bool IsSuperuser, bool Disabled);
    }
}

/// <summary>What the caller may do to an object: for a page that shows a button disabled, with the reason.</summary>
internal static class ListVerbs
{
    /// <param name="Space">Where what is to be made goes; absent is <c>default</c>.</param>
    internal sealed record Query(string? Object, string? Space) : IRequest<Result>;

    /// <param name="Missing">Of each other verb: what is missing, and who can grant it.</param>
    internal sealed record Result(IReadOnlyList<string> Verbs, IReadOnlyDictionary<string, Text> Missing) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => RuleFor(query => query.Object).NotEmpty().Refuse("object 不能为空", "object is missing");
    }

    internal sealed class Handler(NpgsqlDataSource source, NamedObjects objects, Access access, TimeProvider time) : IRequestHandler<Query, Result>
    {
        public async Task<Result> Handle(Query request, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            var on = await objects.Find(connection, request.Object, request.Space);
            var (verbs, missing) = (new List<string>(), new Dictionary<string, Text>(StringComparer.Ordinal));
            foreach (var (word, verb) in Roles.Words)
            {
                var (decision, why) = await objects.Decide(connection, access.Caller, verb, on, time.GetUtcNow().UtcDateTime);
                if (decision.IsAllowed) verbs.Add(word);
                else missing[word] = why;
            }
            return new Result(verbs, missing);
        }
    }
}
