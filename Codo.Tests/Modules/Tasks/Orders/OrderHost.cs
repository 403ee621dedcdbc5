using System.Text.Json.Nodes;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Modules.Tasks.Orders;

/// <summary>What order tests ask of a host over and over.</summary>
internal static class OrderHost
{
    /// <summary>A step as the details page sends it.</summary>
    public static JsonObject Step(
        string command,
        string args = "",
        int group = 1,
        int level = 1,
        string trigger = "order",
        string? name = null,
        string execUser = "root",
        string forceHost = "",
        int timeout = 60,
        int retries = 0,
        string onError = "stop",
        int? retryDelay = null
    ) =>
        new()
        {
            ["group"] = group,
            ["level"] = level,
            ["command_name"] = name ?? command.Split(' ')[0],
            ["command"] = command,
            ["args"] = args,
            ["trigger"] = trigger,
            ["exec_user"] = execUser,
            ["force_host"] = forceHost,
            ["timeout"] = timeout,
            ["retries"] = retries,
            ["retry_delay"] = retryDelay,
            ["on_error"] = onError,
        };

    /// <summary>Makes a template with these steps; answers its id.</summary>
    public static async Task<long> Template(this TestHost host, params JsonObject[] steps) => await host.Template(null, [], steps);

    public static async Task<long> Template(this TestHost host, JsonArray? groups, string[] users, params JsonObject[] steps)
    {
        var made = await host.Post("/v2/task_layout/temp/", new { temp_name = $"t-{Guid.NewGuid():N}" });
        ((int)made["code"]!).ShouldBe(0, made.ToJsonString());
        long id;
        await using (var connection = await host.Source.OpenConnectionAsync())
            id = await connection.QuerySingleAsync<long>("SELECT max(temp_id) FROM tasks.scheduler_temp_list");
        var body = new JsonObject { ["temp_id"] = id, ["new_temp_data"] = new JsonArray([.. steps.Select(step => step.DeepClone())]) };
        if (groups is not null) body["groups"] = groups;
        var put = await host.Put("/v2/task_layout/details/", body.ToJsonString());
        ((int)put["code"]!).ShouldBe(0, put.ToJsonString());
        if (users.Length > 0) ((int)(await host.Patch("/v2/task_layout/details/", new { temp_id = id, new_user_info = users }))["code"]!).ShouldBe(0);
        return id;
    }

    /// <summary>Accepts an order that needs no approval; answers its id.</summary>
    public static async Task<long> Order(
        this TestHost host,
        long template,
        object? hosts = null,
        object? args = null,
        string schedule = "ready",
        string? token = null
    )
    {
        var body = new
        {
            task_name = "an order",
            temp_id = template,
            hosts = hosts ?? new Dictionary<string, string> { ["1"] = "127.0.0.1" },
            args = args ?? new { },
            schedule,
        };
        // A hundred at once on a busy machine may wait longer for a connection than a request does.
        var answer = await host.Post("/v2/task/accept/", body, token);
        for (var tries = 0; (int)answer["code"]! == 503 && tries < 10; tries++) answer = await host.Post("/v2/task/accept/", body, token);
        ((int)answer["code"]!).ShouldBe(0, answer.ToJsonString());
        return (long)answer["list_id"]!;
    }

    public static async Task<JsonObject> Check(this TestHost host, long order, string more = "") =>
        (await host.Get($"/v2/task/check/?list_id={order}{more}"))["data"]!.AsObject();

    /// <summary>The steps of a lane, in order.</summary>
    public static async Task<List<JsonObject>> Steps(this TestHost host, long order, string more = "") =>
        [.. (await host.Check(order, more))["scheduler_list"]!.AsArray().Select(step => step!.AsObject())];

    public static async Task<string> Statuses(this TestHost host, long order, string more = "") =>
        string.Concat((await host.Steps(order, more)).Select(step => (string)step["task_status"]!));

    /// <summary>Waits until the lane's steps stand so, such as <c>341</c>.</summary>
    public static Task Stands(this TestHost host, long order, string statuses, string more = "", double seconds = 90) =>
        Eventually.Get<string>(async () => await host.Statuses(order, more), now => now == statuses, $"order {order}: steps {statuses}", seconds);

    /// <summary>Waits until the order has ended; answers its status.</summary>
    public static async Task<string> Ended(this TestHost host, long order, double seconds = 90)
    {
        await using var connection = await host.Source.OpenConnectionAsync();
        return await Eventually.Get<string>(
            async () =>
                await connection.QuerySingleOrDefaultAsync<string>(
                    "SELECT CAST(status AS text) FROM tasks.scheduler_task_list WHERE list_id = @order AND schedule = 'OK'",
                    new { order }
                ),
            _ => true,
            $"order {order} ended",
            seconds
        );
    }

    public static async Task<JsonObject> Intervene(
        this TestHost host,
        long order,
        string type,
        int level = 1,
        string ip = "127.0.0.1",
        int group = 1,
        object? more = null,
        string? token = null
    )
    {
        var body = new JsonObject { ["list_id"] = order, ["task_group"] = group, ["task_level"] = level, ["exec_ip"] = ip, ["hand_type"] = type };
        if (more is not null)
            foreach (var (key, value) in System.Text.Json.JsonSerializer.SerializeToNode(more)!.AsObject()) body[key] = value?.DeepClone();
        return await host.Patch("/v2/task/check/", body.ToJsonString(), token);
    }

    /// <summary>The lines of a log.</summary>
    public static async Task<string> Log(this TestHost host, string key) =>
        string.Join('\n', (await host.Get($"/v2/task/log/?log_key={key}"))["data"]!.AsArray().Select(line => (string)line!["log_info"]!));

    /// <summary>Whether a process runs; one that waits to be reaped does not.</summary>
    public static bool IsAlive(string id)
    {
        try
        {
            return !File.ReadAllText($"/proc/{id.Trim()}/stat").Split(')')[^1].StartsWith(" Z", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }

    public static int Code(this JsonObject answer) => (int)answer["code"]!;
}
