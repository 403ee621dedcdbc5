using System.Text.Json;
using System.Text.RegularExpressions;
using Codo.Modules.Cron.Executions;
using Codo.Modules.Cron.Schedules;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using FluentValidation;

namespace Codo.Modules.Cron.Jobs;

/// <summary>The optional fields that creating and editing a job share.</summary>
internal interface IJobFields
{
    string? Cmd { get; }
    string? Cron { get; }
    string? TimeZone { get; }
    int? Timeout { get; }
    string? Overlap { get; }
    string? Misfire { get; }
    int? MisfireWindow { get; }
    int? Retries { get; }
    int? RetryDelay { get; }
    JsonElement? Env { get; }
    string[]? SecretEnv { get; }
    string? WorkingDirectory { get; }
    string? Interpreter { get; }
    string? Encoding { get; }
    string? RunAs { get; }
    string? Node { get; }
    string? Description { get; }
    string[]? Tags { get; }
    string[]? Owners { get; }
}

/// <summary>What every field of a job may be.</summary>
internal static partial class JobFields
{
    private static readonly JsonSerializerOptions Strict = Json.Options(new Zone());

    public const int MaxCommand = 100_000, MaxJobId = 190;

    public static void Fields<T>(this AbstractValidator<T> validator) where T : IJobFields
    {
        validator.RuleFor(job => job.Cmd).AtMost(MaxCommand, "cmd");
        validator.RuleFor(job => job.Cron).AtMost(1000, "cron");
        validator.RuleFor(job => job.TimeZone).Must(IsZone)
            .Refuse("time_zone 不是有效的 IANA 时区名，例如 Asia/Shanghai", "time_zone is no IANA time zone, such as Asia/Shanghai");
        validator.RuleFor(job => job.Timeout).Within(0, 30 * 86_400, "timeout");
        validator.RuleFor(job => job.Overlap).OneOf("overlap", "skip", "queue", "allow", "replace");
        validator.RuleFor(job => job.Misfire).OneOf("misfire", "skip", "once", "all");
        validator.RuleFor(job => job.MisfireWindow).Within(1, 7 * 86_400, "misfire_window");
        validator.RuleFor(job => job.Retries).Within(0, 100, "retries");
        validator.RuleFor(job => job.RetryDelay).Within(1, 86_400, "retry_delay");
        validator.RuleFor(job => job.WorkingDirectory).AtMost(4096, "working_directory");
        validator.RuleFor(job => job.WorkingDirectory).Must(folder => string.IsNullOrEmpty(folder) || folder.StartsWith('/'))
            .Refuse("working_directory 必须是绝对路径", "working_directory must be an absolute path");
        validator.RuleFor(job => job.Interpreter).AtMost(CommandForm.MostInterpreter, "interpreter");
        validator
            .RuleFor(job => job.Interpreter)
            .Must(line => line is null || !line.Contains('\n'))
            .Refuse("interpreter 只能是一行，例如 /usr/bin/env python3", "interpreter must be one line, such as /usr/bin/env python3");
        validator.RuleFor(job => job.Encoding).OneOf("encoding", [.. CommandForm.Encodings]);
        validator.RuleFor(job => job.RunAs).AtMost(SystemUser.MostName, "run_as");
        validator.RuleFor(job => job.Node).IsSelector("node");
        validator
            .RuleFor(job => job.SecretEnv)
            .Must(names => names is null || (names.Length <= 200 && names.All(name => name is not null && VariableName().IsMatch(name))))
            .Refuse("secret_env 应为变量名的列表", "secret_env must be a list of names of variables");
        validator.RuleFor(job => job.Description).AtMost(4000, "description");
        validator.RuleFor(job => job.Tags).Must(Short).Refuse("tags 最多 50 个，每个 1 到 100 个字符", "tags: 50 at most, of 1 to 100 characters");
        validator.RuleFor(job => job.Owners).Must(Short).Refuse("owners 最多 50 个，每个 1 到 100 个字符", "owners: 50 at most, of 1 to 100 characters");
    }

    /// <summary>The variables that a caller sent, as an object or as its JSON text; null when it sent none.</summary>
    /// <exception cref="Refusal">No object of texts, a wrong name, or a name that is Codo's own.</exception>
    public static Dictionary<string, string>? Variables(JsonElement? given)
    {
        if (given is not { } env || env.ValueKind == JsonValueKind.Null) return null;
        try
        {
            // Read again by the strict reader: half of a surrogate pair may be escaped in the text.
            if (env.ValueKind == JsonValueKind.String) env = JsonSerializer.Deserialize<JsonElement>(env.GetString()!, Strict);
        }
        catch (JsonException)
        {
            throw NoVariables();
        }
        if (env.ValueKind != JsonValueKind.Object) throw NoVariables();
        var variables = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var variable in env.EnumerateObject())
        {
            if (!VariableName().IsMatch(variable.Name) || variable.Name.StartsWith("CODO_", StringComparison.Ordinal))
                throw Refusal.Invalid($"env 的变量名 {variable.Name} 无效", $"env: {variable.Name} is no name for a variable of a job");
            variables[variable.Name] = variable.Value.ValueKind switch
            {
                JsonValueKind.String when variable.Value.GetString() is { } text && !text.Contains('\0') => text,
                JsonValueKind.Number => variable.Value.GetRawText(),
                _ => throw Refusal.Invalid($"env.{variable.Name} 的值必须是文本", $"env.{variable.Name} must be text"),
            };
        }
        return variables.Count <= 200 && variables.Sum(pair => pair.Key.Length + pair.Value.Length) <= 64 << 10
            ? variables
            : throw Refusal.Invalid("env 最多 200 个变量，共 64 KiB", "env: 200 variables and 64 KiB at most");
    }

    /// <summary>
    /// Refuses a wrong expression with the original's words, and with the field and the reason behind them unless the number of fields is wrong.
    /// </summary>
    public static CronExpression Expression(string? text, string failedZh, string failedEn)
    {
        if (CronExpression.TryParse(text ?? "", out var expression, out var why, out var wrongFieldCount)) return expression!;
        var said = wrongFieldCount ? new Text(failedZh, failedEn) : new Text($"{failedZh}：{why.Zh}", $"{failedEn}: {why.En}");
        throw new Refusal(-1, said) { Hint = CronHints.Of(text ?? "") };
    }

    /// <summary>Whether a zone that is given may be stored: one of this machine, or the offset that Codo goes on at where its own zone is gone.</summary>
    public static bool IsZone(string? id) => id is null || FixedZone.Parse(id) is not null || TimeZoneInfo.TryFindSystemTimeZoneById(id, out _);

    /// <summary>A zone that is given, or stored and perhaps no longer there.</summary>
    /// <exception cref="Refusal">This machine has no such zone.</exception>
    public static TimeZoneInfo Zone(string id)
    {
        try
        {
            return JobRow.ZoneOf(id);
        }
        catch (JobIsBroken broken)
        {
            throw Refusal.Invalid("time_zone：" + broken.Why.Zh, "time_zone: " + broken.Why.En);
        }
    }

    private static Refusal NoVariables() => Refusal.Invalid("env 必须是 JSON 对象，名称对应文本", "env must be a JSON object of names and texts");

    public static bool Short(string[]? words) => words is null || (words.Length <= 50 && words.All(word => word is { Length: > 0 and <= 100 }));

    // Not "$", which takes a line end behind the name.
    [GeneratedRegex(@"\A[A-Za-z_][A-Za-z0-9_]{0,199}\z", RegexOptions.CultureInvariant)]
    private static partial Regex VariableName();
}
