using Codo.Platform.Http;
using Dapper;
using FluentValidation;
using Npgsql;

namespace Codo.Modules.Alerts.Rules;

/// <summary>The optional fields that making and changing a rule share.</summary>
internal interface IRuleFields
{
    string? Name { get; }
    string? Source { get; }
    string[]? Kinds { get; }
    string? Subject { get; }
    int? Failures { get; }
    int? WaitsAfter { get; }
    int? RunsAfter { get; }
    string[]? People { get; }
    string[][]? Escalation { get; }
    int? EscalateAfter { get; }
    int? RepeatAfter { get; }
    long[]? Channels { get; }
}

/// <summary>What every field of a rule may be.</summary>
internal static class RuleFields
{
    public const int MaxName = 100;
    private const int MaxPeople = 50, MaxSteps = 10, LongestWait = 30 * 86_400;

    private const string AbsentSql = """
        SELECT DISTINCT id FROM unnest(CAST(@Channels AS bigint[])) AS id WHERE NOT EXISTS (SELECT 1 FROM alerts.channel c
            WHERE c.channel_id = id AND (c.space_id = 1 OR c.space_id = @Space)) ORDER BY id
        """;

    public static readonly Refusal NoSuchId = Refusal.NotFound("ID不存在", "There is nothing with this id");
    public static readonly Refusal NameIsTaken = Refusal.Conflict("名称不能重复", "The name is taken", -2);

    public static void Fields<T>(this AbstractValidator<T> validator) where T : IRuleFields
    {
        validator.RuleFor(rule => rule.Name).AtMost(MaxName, "name");
        validator.RuleFor(rule => rule.Name).Must(name => name is null || !string.IsNullOrWhiteSpace(name)).Refuse("名称不能为空", "The name is empty");
        validator.RuleFor(rule => rule.Source).OneOf("source", "", "job", "order", "codo");
        validator
            .RuleFor(rule => rule.Kinds)
            .Must(kinds => kinds is null || (kinds.Length <= Matching.Kinds.Length && kinds.All(kind => Matching.Kinds.Contains(kind))))
            .Refuse($"kinds 只能是 {string.Join(" | ", Matching.Kinds)}", $"kinds must be of {string.Join(" | ", Matching.Kinds)}");
        validator.RuleFor(rule => rule.Subject).AtMost(200, "subject");
        validator.RuleFor(rule => rule.Failures).Within(1, 1000, "failures");
        // 0 takes the limit away.
        validator.RuleFor(rule => rule.WaitsAfter).Within(0, LongestWait, "waits_after");
        validator.RuleFor(rule => rule.RunsAfter).Within(0, LongestWait, "runs_after");
        validator.RuleFor(rule => rule.EscalateAfter).Within(1, LongestWait, "escalate_after");
        validator.RuleFor(rule => rule.RepeatAfter).Within(1, LongestWait, "repeat_after");
        validator.RuleFor(rule => rule.People).Must(Names).Refuse("people 最多 50 个，每个不超过 100 个字符", "people: 50 at most, of 100 characters at most");
        validator
            .RuleFor(rule => rule.Escalation)
            .Must(steps => steps is null || (steps.Length <= MaxSteps && steps.All(step => step is { Length: > 0 } && Names(step))))
            .Refuse("escalation 最多 10 级，每级至少一人", "escalation: 10 steps at most, of one person at least");
        validator.RuleFor(rule => rule.Channels).Must(channels => channels is null || channels.Length <= 100).Refuse("channels 太多", "channels: too many");
    }

    /// <summary>A channel that is not there would tell nobody, and nobody would notice.</summary>
    public static async Task DemandChannels(NpgsqlConnection connection, NpgsqlTransaction transaction, long[]? channels, long space)
    {
        var absent = channels is null ? [] : (await connection.QueryAsync<long>(AbsentSql, new { Channels = channels, Space = space }, transaction)).AsList();
        if (absent.Count > 0)
            throw Refusal.Invalid($"channels 中的 {string.Join(", ", absent)} 不存在", $"channels: there is no channel {string.Join(", ", absent)}");
    }

    /// <summary>Whoever clears the pattern means anything.</summary>
    public static string? SubjectOf(string? pattern) => pattern is "" ? "*" : pattern;

    public static bool Names(string[]? names) =>
        names is null || (names.Length <= MaxPeople && names.All(name => !string.IsNullOrWhiteSpace(name) && name.IsWithin(MaxName)));
}
