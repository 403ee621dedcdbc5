using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>The words that a template's steps take as arguments, for a form that asks for their values.</summary>
internal static class ListTemplateArguments
{
    internal sealed record Query(long? TempId) : IRequest<Result>;

    /// <param name="ArgsDict">Every known argument, the name to show by the word.</param>
    internal sealed record Result(IReadOnlyList<string> Data, IReadOnlyDictionary<string, string> ArgsDict) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator() => RuleFor(query => query.TempId).TemplateGiven();
    }

    internal sealed class Handler(NpgsqlDataSource source, Access access) : IRequestHandler<Query, Result>
    {
        private const string ArgsSql = """
            SELECT args FROM tasks.scheduler_temp_details WHERE temp_id = @TempId ORDER BY "group", level, id
            """;

        private const string NamesSql = """
            SELECT args_self, args_name FROM tasks.scheduler_args_list ORDER BY args_id
            """;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await TemplateRight.DemandSee(connection, null, access, query.TempId!.Value);
            var args = await connection.QueryAsync<string>(ArgsSql, query);
            // Two names for one word: the one that was made last is shown, as in the original.
            var names = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (var (word, name) in await connection.QueryAsync<(string, string)>(NamesSql)) names[word] = name;
            return new Result(ArgumentWords.Of(args), names);
        }
    }
}
