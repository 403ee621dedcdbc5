using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Who may let orders replace a word of arguments. An order gives it any value: that changes what each step runs that has the word, and where it runs as Codo's
/// own user only a superuser may change it.
/// </summary>
internal static class WordRight
{
    private const string StepsSql = """
        SELECT DISTINCT run_as, args FROM tasks.scheduler_temp_details WHERE run_as <> '' AND strpos(args, @Word) > 0
        """;

    private sealed record Row(string RunAs, string Args);

    /// <summary>Refuses a word of the library, which counts in every template.</summary>
    /// <exception cref="Refusal">A step of a template has it that is not the caller's to change.</exception>
    public static async Task Demand(NpgsqlConnection connection, NpgsqlTransaction transaction, RunAsRule rule, Caller caller, string word)
    {
        var steps = await connection.QueryAsync<Row>(StepsSql, new { Word = word }, transaction);
        await Demand(connection, transaction, rule, caller, [word], steps.Select(step => (step.RunAs, step.Args)));
    }

    /// <summary>Refuses words for these steps. Where a step runs says nothing: another save may move it to Codo's own machine with its <c>run_as</c>.</summary>
    /// <exception cref="Refusal">A step has one of them that is not the caller's to change.</exception>
    public static async Task Demand(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        RunAsRule rule,
        Caller caller,
        IReadOnlyCollection<string> words,
        IEnumerable<(string RunAs, string Args)> steps
    )
    {
        foreach (var (runAs, args) in steps)
            if (ArgumentWords.Of([args]).Intersect(words, StringComparer.Ordinal).Any()) await rule.MayChange(connection, transaction, caller, runAs);
    }
}
