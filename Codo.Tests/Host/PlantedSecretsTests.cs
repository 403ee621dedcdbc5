using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Tests.Modules.Alerts;
using Codo.Tests.Modules.Tasks.Layout;
using Codo.Tests.Support;
using Dapper;
using Npgsql;
using StackExchange.Redis;

namespace Codo.Tests.Host;

/// <summary>Secrets are planted wherever a person can put one, used and printed, and looked for wherever one could turn up.</summary>
public sealed class PlantedSecretsTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task None_turns_up_in_a_file_a_process_Redis_the_database_or_an_answer()
    {
        using var folder = new TestFolder();
        var (go, jobRuns, stepRuns) = (folder.At("go"), folder.At("job-runs"), folder.At("step-runs"));
        // Until they may go on, or the test has ended without that.
        var waits = $"while [ -d {folder.Path} ] && [ ! -e {go} ]; do sleep 0.1; done";
        await using var redis = await TestRedis.StartNew();
        await using var stub = await HttpStub.Start();
        var secrets = new Dictionary<string, string>();
        string Plant(string where) => secrets[where] = $"geheim{where}{Guid.NewGuid():N}";

        await using var host = await HostProcess.Start(
            folder.At("codo"),
            environment:
            [
                ("ConnectionStrings__Redis", redis.Configuration),
                ("Codo__Tasks__AnyWord", "true"),
                ("Codo__Auth__AdminPassword", Plant("first")),
            ]
        );
        await using var listener = await ConnectionMultiplexer.ConnectAsync(redis.Configuration + ",allowAdmin=true");
        var heard = new StringBuilder();
        await listener.GetSubscriber().SubscribeAsync(RedisChannel.Pattern("*"), (channel, value) =>
        {
            lock (heard) heard.AppendLine($"{channel} {value}");
        });

        var signedIn = await host.Send(HttpMethod.Post, "/v2/accounts/login/", new { username = "admin", password = secrets["first"] });
        secrets["session"] = (string)signedIn["auth_key"]!;
        var access = await host.Send(HttpMethod.Post, "/v2/accounts/token/", new { name = "ci", days = 1, scopes = new[] { "see" } }, secrets["session"]);
        secrets["access"] = (string?)access["token"] ?? throw new InvalidOperationException(access.ToJsonString());
        var factor = await host.Send(HttpMethod.Post, "/v2/accounts/otp/", new { password = secrets["first"] }, secrets["session"]);
        secrets["otp"] = (string?)factor["otp_key"] ?? throw new InvalidOperationException(factor.ToJsonString());

        await Made(
            host.Send(
                HttpMethod.Post,
                "/v1/cron/job/",
                new
                {
                    job_id = "planted",
                    cmd = $"set -x; echo $DB_PASSWORD $UPSTREAM $MARKED; set +x; touch {jobRuns}; {waits}; false",
                    cron = "0 0 0 29 2 *",
                    owners = new[] { "ann" },
                    env = new Dictionary<string, string>
                    {
                        ["DB_PASSWORD"] = Plant("job"),
                        ["UPSTREAM"] = $"amqp://u:{Plant("url")}@mq.example.test/",
                        ["MARKED"] = Plant("marked"),
                    },
                    secret_env = new[] { "MARKED" },
                }
            )
        );
        await Made(
            host.Send(
                HttpMethod.Post,
                "/v2/alerts/channel/",
                new
                {
                    name = "hook",
                    kind = "webhook",
                    settings = new { url = $"{stub.Url}/{Plant("hook")}", secret = Plant("hooksecret") },
                }
            )
        );
        await Made(
            host.Send(
                HttpMethod.Post,
                "/v2/alerts/channel/",
                new
                {
                    name = "mail",
                    kind = "email",
                    enabled = false,
                    settings = new Dictionary<string, string>
                    {
                        ["host"] = "127.0.0.1",
                        ["port"] = "1",
                        ["from"] = "a@example.test",
                        ["username"] = "u",
                        ["password"] = Plant("mail"),
                    },
                }
            )
        );
        var key = await ExecuteUsersTests.NewKey(passphrase: Plant("passphrase"));
        secrets["key"] = key.Split('\n')[2];
        await Made(
            host.Send(
                HttpMethod.Post,
                "/v2/task_layout/user/",
                new
                {
                    alias_user = "deploy",
                    exec_user = "root",
                    ssh_port = 1,
                    user_key = key,
                    passphrase = secrets["passphrase"],
                }
            )
        );
        await Made(host.Send(HttpMethod.Post, "/v2/task_layout/temp/", new { temp_name = "t" }));
        await Made(
            host.Send(
                HttpMethod.Put,
                "/v2/task_layout/details/",
                new
                {
                    temp_id = 1,
                    new_temp_data = new[]
                    {
                        new
                        {
                            command_name = "c",
                            command = $"touch {stepRuns}; {waits}; echo",
                            args = "API_TOKEN PROXY",
                            group = 1,
                            level = 1,
                        },
                    },
                }
            )
        );
        await Made(
            host.Send(
                HttpMethod.Post,
                "/v2/task/accept/",
                new
                {
                    task_name = "o",
                    temp_id = 1,
                    hosts = new Dictionary<string, string> { ["1"] = "127.0.0.1" },
                    args = new Dictionary<string, string> { ["API_TOKEN"] = Plant("arg"), ["PROXY"] = $"http://u:{Plant("argurl")}@proxy.example.test" },
                    schedule = "ready",
                }
            )
        );

        var run = await host.Send(HttpMethod.Post, "/v1/cron/job/run/", new { job_id = "planted" });
        var log = run["log_id"] ?? throw new InvalidOperationException(run.ToJsonString());
        await Eventually.True(() => File.Exists(jobRuns) && File.Exists(stepRuns), "the job and the step run");
        Found(secrets, Processes()).ShouldBeEmpty("in the arguments of a process");
        await File.WriteAllTextAsync(go, "");
        await Eventually.True(
            async () => (await host.Send(HttpMethod.Get, "/v1/cron/log/?key=status&value=faild"))["count"]!.GetValue<long>() == 1,
            "the job has ended"
        );
        await Eventually.True(async () => (await host.Send(HttpMethod.Get, "/v2/task/check_history/"))["count"]!.GetValue<long>() == 1, "the order has ended");
        await Eventually.True(() => !stub.Requests.IsEmpty, "the alert was sent");
        await Eventually.True(
            async () => (await host.Send(HttpMethod.Get, "/v2/task/log/?log_key=1_1_1_127.0.0.1"))["data"]!.AsArray().Count > 1,
            "the log is there"
        );

        Found(secrets, await Answers(host, $"{log}")).ShouldBeEmpty("in an answer");
        Found(secrets, await Pages(host, $"{log}", secrets["session"])).ShouldBeEmpty("in a page");
        Found(secrets, host.Output).ShouldBeEmpty("in the host's log");
        var metrics = await host.Text(HttpMethod.Get, "/metrics");
        Found(secrets, metrics).ShouldBeEmpty("in the metrics");
        foreach (var name in Metrics) metrics.ShouldContain(name);
        metrics.ShouldNotContain("planted", Case.Sensitive, "a job's name is no label");
        Found(secrets, heard.ToString()).ShouldBeEmpty("on a channel of Redis");
        Found(secrets, await Keys(listener)).ShouldBeEmpty("in Redis");
        Found(secrets, string.Concat(stub.Requests.Select(got => Encoding.UTF8.GetString(got.Body)))).ShouldBeEmpty("in an alert");
        Found(secrets, await Rows(host)).ShouldBeEmpty("in the database");
        // All files, PostgreSQL's own and its journal among them; what the host keeps in secrets/ is other secrets.
        foreach (var file in Directory.EnumerateFiles(host.DataDirectory, "*", SearchOption.AllDirectories))
            Found(secrets, await Read(file)).ShouldBeEmpty(file);
        // Found it would be: the search itself works.
        Found(secrets, "x" + secrets["job"]).ShouldBe(["job"]);
    }

    private static readonly string[] Metrics =
    [
        "outcome=\"faild\"",
        "codo_fires_total{",
        "codo_fire_lateness_seconds_bucket",
        "codo_run_duration_seconds_count",
        "codo_runs_queued_oldest_seconds",
        "codo_jobs{",
        "codo_step_duration_seconds_count",
        "codo_lane_duration_seconds_count",
        "codo_log_lines_total{",
        "codo_incidents{",
        "codo_outbox_oldest_seconds",
        "codo_nodes{",
        "codo_loop_age_seconds{",
        "codo_redis_latency_seconds",
        "codo_spool_size_bytes",
        "codo_descriptors",
        "http_server_request_duration_seconds",
        "db_client_operation_duration_seconds",
        "dotnet_process_memory_working_set_bytes",
    ];

    private static async Task Made(Task<JsonObject> answer) => (await answer)["code"]!.GetValue<int>().ShouldBe(0, (await answer).ToJsonString());

    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static List<string> Found(Dictionary<string, string> secrets, string text) =>
        [.. secrets.Where(secret => text.Contains(secret.Value, StringComparison.Ordinal)).Select(secret => secret.Key)];

    private static string Processes()
    {
        var all = new StringBuilder();
        foreach (var process in Directory.EnumerateDirectories("/proc").Where(path => int.TryParse(Path.GetFileName(path), out _)))
        {
            try
            {
                all.AppendLine(File.ReadAllText(Path.Combine(process, "cmdline")));
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // It has ended.
            }
        }

        return all.ToString();
    }

    private static async Task<string> Answers(HostProcess host, string log)
    {
        var all = new StringBuilder();
        var refused = new List<string>();
        var query = $"list_id=1&temp_id=1&log_id={log}&log_key=1_1_1_127.0.0.1&q=echo&cron=* * * * * *&limit=100";
        // Each is asked both ways: of one job a list shows less, and what is about one job needs its name.
        string[] queries = [query, query + "&job_id=planted&version=1&object=job:planted&verb=see&time=2026-01-01T03:00Z"];
        var description = await host.Send(HttpMethod.Get, "/openapi/v1.json");
        foreach (var (path, operations) in description["paths"]!.AsObject())
        {
            if (operations!["get"] is null || path.Contains("/ws/", StringComparison.Ordinal) || path.Contains("stream", StringComparison.Ordinal))
                continue;
            var isAnswered = false;
            foreach (var asked in queries)
            {
                var answer = await host.Text(HttpMethod.Get, $"{path}?{asked}").WaitAsync(Patience);
                // An export is a line of JSON for each row.
                foreach (var line in path.Contains("/export", StringComparison.Ordinal) ? answer.Split('\n', StringSplitOptions.RemoveEmptyEntries) : [answer])
                {
                    var node = JsonNode.Parse(line)!;
                    all.AppendLine(node.ToJsonString(Relaxed));
                    isAnswered |= (int?)node["code"] is null or 0;
                }
            }

            if (!isAnswered) refused.Add(path);
        }

        refused.ShouldBeEmpty("in a refusal nothing is found: what these ask for is to be added to the query");
        return all.ToString();
    }

    private static async Task<string> Pages(HostProcess host, string log, string token)
    {
        var all = new StringBuilder();
        using var http = new HttpClient { BaseAddress = host.Address };
        string[] paths =
        [
            "/jobs/planted",
            "/jobs/planted/versions",
            $"/runs/{log}",
            "/orders/1",
            "/orders/1/approve",
            "/orders/1/output",
            "/alerting/channels",
            "/execute-users",
            "/audit",
        ];
        foreach (var path in paths)
        {
            using var request = TestHost.Request(HttpMethod.Get, path, null, token);
            request.Headers.Add("Accept", "text/html");
            using var response = await http.SendAsync(request);
            response.StatusCode.ShouldBe(HttpStatusCode.OK, path);
            // A character of a key may stand there as a number.
            all.AppendLine(WebUtility.HtmlDecode(await response.Content.ReadAsStringAsync()));
        }

        return all.ToString();
    }

    private static async Task<string> Keys(ConnectionMultiplexer redis)
    {
        var all = new StringBuilder();
        await foreach (var key in redis.GetServers()[0].KeysAsync())
            all.AppendLine($"{key} {Encoding.UTF8.GetString((byte[]?)await redis.GetDatabase().KeyDumpAsync(key) ?? [])}");
        return all.ToString();
    }

    private static async Task<string> Rows(HostProcess host)
    {
        await using var connection = new NpgsqlConnection($"Host={host.DataDirectory}/postgres-socket;Username=codo;Database=codo;Pooling=false");
        await connection.OpenAsync();
        var all = new StringBuilder();
        foreach (
            var table in await connection.QueryAsync<string>(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
        )
            foreach (var row in await connection.QueryAsync<string>($"SELECT t::text FROM {table} t"))
                all.AppendLine(row);
        all.Length.ShouldBeGreaterThan(10_000);
        return all.ToString();
    }

    private static async Task<string> Read(string file)
    {
        try
        {
            return Encoding.Latin1.GetString(await File.ReadAllBytesAsync(file));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // Gone meanwhile, or the lock that the host holds.
            return "";
        }
    }
}
