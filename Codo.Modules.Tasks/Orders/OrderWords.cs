using System.Globalization;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Layout;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Dapper;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>
/// Which words of a template's arguments an order may replace: those that the library or the template declares. The rest of the line is the template's own,
/// approved as it stands.
/// </summary>
internal sealed class OrderWords(TaskSettings settings, KeptRules kept) : IHealthCheck
{
    /// <summary>The name of its check.</summary>
    public const string Check = "order_words";

    private const int MostNamed = 20;

    private const string DeclaredSql = """
        SELECT DISTINCT args_self FROM tasks.scheduler_args_list WHERE args_self = ANY(@Words)
        """;

    /// <summary>Whether every word is a parameter, as in the original.</summary>
    public async ValueTask<bool> AnyWord() => settings.AnyWord ?? await kept.Read("keep.tasks.any_word") == "true";

    /// <summary>Warnings of keys that nobody declared and that change nothing.</summary>
    /// <exception cref="Refusal">A key that nobody declared would replace a word of the template by another text.</exception>
    public async Task<IEnumerable<Text>> Declared(NpgsqlConnection connection, OrderPlan plan, ArgumentValues values)
    {
        if (values.All.Count == 0 || await AnyWord()) return [];
        var used = ArgumentWords.Of(plan.Steps.Select(step => step.Args)).ToHashSet(StringComparer.Ordinal);
        var declared = (
            await connection.QueryAsync<string>(DeclaredSql, new { Words = used.Concat(values.All.Keys).Distinct(StringComparer.Ordinal).ToArray() })
        )
            .Concat(plan.Template.Declared)
            .ToHashSet(StringComparer.Ordinal);
        var others = values.All.Keys.Where(key => !declared.Contains(key)).ToList();
        var wrong = others.Where(key => key != ArgumentWords.OrderId && used.Contains(key) && values.All[key] != key).ToList();
        if (wrong.Count > 0)
        {
            var may = used.Where(declared.Contains).Order(StringComparer.Ordinal).ToList();
            throw Refusal.Invalid(
                $"参数 {Listed(wrong)} 未在参数库或模板中声明，不能替换模板中的文字。已声明：{(may.Count == 0 ? "无" : Listed(may))}",
                ($"Neither the library nor the template declares {Listed(wrong)}, so that an order may not replace these words. Declared: "
                    + $"{(may.Count == 0 ? "nothing" : Listed(may))}")
            );
        }
        return others.Count == 0 ? [] : [new Text($"这些参数未声明，不起作用：{Listed(others)}", $"Nobody declared these words, and they change nothing: {Listed(others)}")];
    }

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            // Not degraded: it is a rule that the operator may want, and says so here.
            return HealthCheckResult.Healthy(
                await AnyWord()
                    ? ("Codo:Tasks:AnyWord is on: an order may replace any word of a template's arguments, also one that was never meant as a parameter. "
                        + "Declare the words (/v2/task_layout/args/), then set it to false")
                    : "Codo:Tasks:AnyWord is off: orders replace declared words only"
            );
        }
        catch (Exception error)
        {
            return HealthCheckResult.Degraded(error.Message);
        }
    }

    private static string Listed(List<string> words) =>
        string.Join(", ", words.Take(MostNamed).Select(word => word.Length > 100 ? word[..100] + "…" : word))
        + (words.Count > MostNamed ? string.Create(CultureInfo.InvariantCulture, $" … ({words.Count})") : "");
}
