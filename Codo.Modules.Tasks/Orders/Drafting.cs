using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Execution;
using Codo.Modules.Tasks.Hosts;
using Codo.Modules.Tasks.Layout;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Dapper;
using Microsoft.Extensions.Configuration;
using Npgsql;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Everything of an order that was asked for and found good, and nothing of it stored yet.</summary>
/// <param name="CreatorId">Null when a superuser named somebody, whose id nobody knows.</param>
/// <param name="Watchers">Those whom the submitter named in <c>associated_user</c>: they may see the order and hear of it.</param>
internal sealed record OrderDraft(
    OrderPlan Plan,
    ArgumentValues Values,
    bool Ready,
    string TaskName,
    string TaskType,
    string Details,
    string Description,
    string Creator,
    long? CreatorId,
    string Executor,
    JsonObject Associated,
    IReadOnlyList<Watcher> Watchers,
    DateTimeOffset? StartTime,
    bool Hold,
    int StartDelay,
    PlannedRun Run,
    ApprovalRule Rule,
    IReadOnlyList<Text> Warnings
);

/// <summary>Somebody in an order's <c>associated_user</c>.</summary>
/// <param name="Id">Null where the submitter gave a name alone, which then decides.</param>
internal sealed record Watcher(long? Id, string Name);

/// <summary>Reads and checks what accept and preview are given.</summary>
internal sealed class Drafting(
    Access access,
    Zone zone,
    TaskSettings settings,
    OrderArguments arguments,
    OrderWords words,
    RunPlans plans,
    TeamDirectory teams,
    Disk disk,
    IConfiguration configuration
)
{
    private readonly Caller caller = access.Caller;

    // Bytes of UTF-8.
    private const int MostDetails = 64 << 10, MostArguments = 256 << 10, MostAssociated = 64 << 10;

    // Characters of the command lines of all steps. An argument may stand in each of a thousand steps, and the plan holds every line.
    private const int MostLines = 4 << 20;

    private const string TemplateSql = """
        SELECT temp_name, declared FROM tasks.scheduler_temp_list WHERE temp_id = @TempId
        """;

    private const string StepsSql = $"""
        SELECT {TemplateColumns.StepShown} FROM tasks.scheduler_temp_details WHERE temp_id = @TempId ORDER BY "group", level, id
        """;

    private const string GroupsSql = $"""
        SELECT {TemplateColumns.Group} FROM tasks.scheduler_temp_group WHERE temp_id = @TempId
        """;

    private const string UsersSql = """
        SELECT user_id, nickname FROM tasks.scheduler_temp_user WHERE temp_id = @TempId ORDER BY id
        """;

    /// <exception cref="Refusal">The request is wrong, or the caller may not submit it.</exception>
    public async Task<OrderDraft> Make(NpgsqlConnection connection, AcceptOrder.Command command)
    {
        if (string.IsNullOrWhiteSpace(command.TaskName) || command.TempId is null || IsAbsent(command.Hosts))
            throw Missing("task_name, temp_id, hosts");
        if (command.Schedule is not (null or "new" or "ready"))
            throw Refusal.Invalid("schedule 只能是 new 或 ready", "schedule must be new or ready");
        if (command.StartDelay is < 0 or > 86400)
            throw Refusal.Invalid("start_delay 必须在 0 到 86400 之间", "start_delay must be between 0 and 86400");
        if (!command.TaskName.IsWithin(200) || command.TaskType?.IsWithin(200) == false)
            throw Refusal.Invalid("task_name 和 task_type 不能超过 200 个字符", "task_name and task_type are at most 200 characters long");
        if (command.Executor?.IsWithin(200) == false || command.Submitter?.IsWithin(200) == false)
            throw Refusal.Invalid("submitter 和 executor 不能超过 200 个字符", "submitter and executor are at most 200 characters long");
        if (Encoding.UTF8.GetByteCount(command.Details ?? "") > MostDetails)
            throw Refusal.Invalid("details 不能超过 64 KiB", "details is longer than 64 KiB");
        if (disk.IsLow)
            throw Refusal.Conflict(
                "磁盘空间不足（Codo:MinFreeDisk），暂不接受新订单",
                "Too little disk space is free (Codo:MinFreeDisk): no new order is accepted"
            );
        var hosts = Hosts(Object(command.Hosts!.Value, "hosts"));
        var values = arguments.Read(IsAbsent(command.Args) ? null : Object(command.Args!.Value, "args"));
        if (values.All.Sum(pair => (long)Encoding.UTF8.GetByteCount(pair.Key) + Encoding.UTF8.GetByteCount(pair.Value)) > MostArguments)
            throw Refusal.Invalid("args 总共不能超过 256 KiB", "args is longer than 256 KiB in sum");
        var given = IsAbsent(command.AssociatedUser) ? [] : Object(command.AssociatedUser!.Value, "associated_user");
        if (Encoding.UTF8.GetByteCount(given.ToJsonString(Json.Stored)) > MostAssociated)
            throw Refusal.Invalid("associated_user 不能超过 64 KiB", "associated_user is longer than 64 KiB");
        var start = Time(command.ExecTime);
        var resource = await TemplateRight.Find(connection, null, command.TempId.Value) ?? throw NoTemplate;
        await access.Demand(
            Verbs.Run,
            resource,
            NoTemplate,
            new Text("你没有提交此模板的订单的权限", "You have no right to submit orders from this template")
        );
        var template = await Read(connection, command.TempId.Value, resource.Space);
        var plan = OrderPlan.Make(template, hosts, settings);
        CheckLines(plan, values);
        var undeclared = await words.Declared(connection, plan, values);
        var ready = command.Schedule == "ready";
        if (ready && (plan.HasTimed || command.Hold == true) && start is null) throw Missing("exec_time");
        var mayApprove = await access.May(Verbs.Approve, resource);
        if (ready && !mayApprove && !MaySubmitReady())
            throw Refusal.Forbidden(
                $"{caller.Username} 不是模板「{template.TempName}」的用户，不能提交免审批订单",
                $"{caller.Username} is no user of the template {template.TempName} and may not submit an order that needs no approval"
            );
        var (creator, creatorId, description) = Submitter(command.Submitter);
        var run = await plans.Of(connection, plan.Groups, values);
        if (run.Block is { } block) throw Refusal.Forbidden($"{block.Sentence.Zh}，已禁止执行", $"{block.Sentence.En} and is blocked");
        var rule = await ApprovalRule.Of(connection, caller, teams, template.TempId, run.NeedsSecond);
        var (isReady, waits) = Ready(ready, rule, mayApprove, creatorId, creator);
        var associated = new JsonObject
        {
            ["admin"] = new JsonArray([.. template.Users.Select(user => user.Nickname).Append(creator).Distinct().Select(name => JsonValue.Create(name))]),
        };
        foreach (var (key, people) in given)
            associated[key] = people?.DeepClone();
        var warnings = (await new OrderWarnings(connection, settings).Of(plan, values, command.Hold == true ? null : start, [.. hosts.Keys]))
            .Concat(undeclared)
            .Concat(run.Risks.Select(risk => risk.Sentence).Distinct())
            .Concat(waits)
            .ToList();
        return new OrderDraft(
            plan,
            values,
            isReady,
            command.TaskName.Trim(),
            string.IsNullOrWhiteSpace(command.TaskType) ? template.TempName : command.TaskType.Trim(),
            command.Details ?? "",
            description,
            creator,
            creatorId,
            command.Executor ?? "",
            associated,
            [.. given.Where(group => group.Key != "admin").SelectMany(group => People(group.Value)).Distinct()],
            start,
            command.Hold ?? false,
            command.StartDelay ?? settings.StartDelay,
            run,
            rule,
            warnings
        );
    }

    // To submit an order as ready is to approve it. Where more is asked for than one approval of whoever may approve, it waits for that.
    private (bool IsReady, IEnumerable<Text> Waits) Ready(bool asked, ApprovalRule rule, bool mayApprove, long? creatorId, string creator)
    {
        if (!asked || !rule.IsMore) return (asked, []);
        var isEnough = rule is { Needed: 1, ReasonRequired: false } && rule.Against(caller, teams, mayApprove, creatorId, creator) is null;
        return isEnough
            ? (true, [])
            : (
                false,
                [
                    new Text(
                        $"审批规则要求 {rule.Needed} 个审批，订单等待审批，没有直接开始",
                        $"The rule asks for {rule.Needed} approval{(rule.Needed == 1 ? "" : "s")}: the order awaits approval and does not start by itself"
                    ),
                ]
            );
    }

    /// <summary>A template with everything that an order copies from it.</summary>
    /// <exception cref="Refusal">There is none, or it has no steps.</exception>
    internal static async Task<Template> Read(NpgsqlConnection connection, long tempId, long space)
    {
        var head =
            await connection.QuerySingleOrDefaultAsync<TemplateHead>(TemplateSql, new { TempId = tempId })
            ?? throw NoTemplate;
        var steps = (await connection.QueryAsync<TemplateStep>(StepsSql, new { TempId = tempId })).AsList();
        if (steps.Count == 0) throw Refusal.NotFound("模板没有任务", "The template has no steps", -3);
        var groups = (await connection.QueryAsync<TemplateGroup>(GroupsSql, new { TempId = tempId })).AsList();
        return new Template(
            tempId,
            head.TempName,
            head.Declared,
            steps,
            groups,
            (await connection.QueryAsync<(long, string)>(UsersSql, new { TempId = tempId })).AsList(),
            space
        );
    }

    private static Refusal NoTemplate => Refusal.NotFound("模板不存在", "No such template", -3);

    private static Dictionary<int, IReadOnlyList<string>> Hosts(JsonObject given)
    {
        var hosts = new Dictionary<int, IReadOnlyList<string>>();
        foreach (var (key, value) in given)
        {
            if (!int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out var group))
                throw Refusal.Invalid($"hosts 的组 {key} 不是数字", $"hosts: the group {key} is no number");
            var text = value is JsonArray many ? string.Join(',', many.Select(one => one?.ToString())) : value?.ToString();
            hosts[group] = HostList.TryParse(text, out var names, out var wrong)
                ? names
                : throw Refusal.Invalid($"ip格式有误：{wrong}", $"{wrong} is no IP address or host name", 5);
        }
        return hosts;
    }

    // What cannot be put together is said now, not in the middle of the order.
    private static void CheckLines(OrderPlan plan, ArgumentValues values)
    {
        var length = 0L;
        foreach (var step in plan.Steps)
        {
            try
            {
                length += values.Line(CommandForm.With(step.Interpreter, step.Command), CommandForm.Clean(step.Args), 0).Line.Length;
                if (length > MostLines)
                    throw Refusal.Invalid(
                        $"所有任务的命令行加起来超过 {MostLines >> 20} Mi 个字符，请缩短参数或拆分模板",
                        $"The command lines of all steps are longer than {MostLines >> 20} Mi characters in sum: shorten the arguments or divide the template"
                    );
            }
            catch (CommandNotStartedException wrong)
            {
                throw Refusal.Invalid($"任务 {step.CommandName}：{wrong.Text.Zh}", $"Step {step.CommandName}: {wrong.Text.En}");
            }
        }
    }

    private DateTimeOffset? Time(string? text)
    {
        if (string.IsNullOrWhiteSpace(text)) return null;
        return Times.TryParse(text, zone.Info, out var time) ? time : throw Refusal.Invalid("exec_time " + Times.Expected.Zh, "exec_time " + Times.Expected.En);
    }

    // Hooks name the person whose push they handle. Whoever may pose as anyone may pose as the one who approves, so the name counts from a superuser only.
    private (string Creator, long? CreatorId, string Description) Submitter(string? name) => name?.Trim() switch
    {
        null or "" => (caller.Nickname, caller.UserId, ""),
        var own when own == caller.Username || own == caller.Nickname => (caller.Nickname, caller.UserId, ""),
        var other when caller.IsSuperuser => (other, null, ""),
        var other => (caller.Nickname, caller.UserId, new Text($"提交人（未核实）：{other}", $"submitted for (not verified): {other}").Side()),
    };

    private bool MaySubmitReady() =>
        configuration.GetSection("Codo:Tasks:ReadySubmitters").Exists()
        && (SettingsBinding.List(configuration, "Codo:Tasks:ReadySubmitters") ?? []) is var names
        && (names.Contains(caller.Username) || names.Contains("*"));

    private static IEnumerable<Watcher> People(JsonNode? people) => people switch
    {
        JsonObject groups => groups.SelectMany(group => People(group.Value)),
        JsonArray list => list.SelectMany(People),
        JsonValue one when one.ToString().Trim() is { Length: > 0 } text => [Person(text)],
        _ => [],
    };

    // "<user_id>,,,<nickname>" is how the console sends a person elsewhere.
    private static Watcher Person(string text) =>
        text.Split(",,,", 2, StringSplitOptions.TrimEntries) is [var id, var name]
        && long.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
        && number > 0
            ? new Watcher(number, name)
            : new Watcher(null, text);

    // With properties, because Dapper gives no array to a constructor.
    private sealed record TemplateHead
    {
        public required string TempName { get; init; }
        public string[] Declared { get; init; } = [];
    }

    private static JsonObject Object(JsonElement element, string field) =>
        PythonLiteral.TryParseObject(element, out var value, out var why) ? value! : throw Refusal.Invalid($"{field} {why.Zh}", $"{field} {why.En}");

    private static bool IsAbsent(JsonElement? element) =>
        element is null
        || element.Value.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined
        || (element.Value.ValueKind == JsonValueKind.String && element.Value.GetString() is "");

    private static Refusal Missing(string fields) => Refusal.Invalid($"必要参数缺失：{fields}", $"Required fields are missing: {fields}", 6);
}
