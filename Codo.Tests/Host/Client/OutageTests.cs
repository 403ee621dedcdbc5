using System.Collections.Concurrent;
using System.Globalization;
using Codo.Host.Client;
using Codo.Tests.Modules.Cron;
using Codo.Tests.Support;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Time.Testing;

namespace Codo.Tests.Host.Client;

/// <summary>What follows an order or a run meets a failover and a restart behind a proxy, and ends as the order or the run does.</summary>
[Collection<ClientCollection>]
public sealed class OutageTests(ClientHost fixture)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_watch_outlives_an_outage_and_ends_as_the_order_does()
    {
        await using var proxy = await TestProxy.Start(fixture.Host.Http.BaseAddress!);
        var go = Path.Combine(fixture.NewFolder(), "go");
        var id = await Order($"while [ ! -e {go} ]; do sleep 0.05; done; echo");
        var watching = Run(proxy, "order", "watch", id);
        await Meets(proxy, watching, "/v2/task/stream/");
        await File.WriteAllTextAsync(go, "", Cancelled);
        var watched = await watching;
        watched.Code.ShouldBe(0, watched.Errors);
        watched.Lines[^1].ShouldBe($"Order {id} is done: 1 done");
    }

    [Fact]
    public async Task The_log_of_an_order_is_followed_over_an_outage_and_has_every_line_once()
    {
        await using var proxy = await TestProxy.Start(fixture.Host.Http.BaseAddress!);
        var go = Path.Combine(fixture.NewFolder(), "go");
        var id = await Order($"echo line 1; while [ ! -e {go} ]; do sleep 0.05; done; echo line 2; true");
        var following = Run(proxy, "order", "logs", id, "-f", "--no-prefix");
        await Meets(proxy, following, "/v2/task/log/stream/", "/v2/task/grid/");
        await File.WriteAllTextAsync(go, "", Cancelled);
        var log = (await following).Text;
        log.Split('\n').Where(line => line.StartsWith("line", StringComparison.Ordinal)).ShouldBe(["line 1", "line 2"]);
    }

    [Fact]
    public async Task A_run_that_is_followed_outlives_an_outage_and_is_made_once()
    {
        await using var proxy = await TestProxy.Start(fixture.Host.Http.BaseAddress!);
        var (name, go) = (ClientHost.NewName("job"), Path.Combine(fixture.NewFolder(), "go"));
        await fixture.Host.Make(new { job_id = name, cmd = $"echo one; while [ ! -e {go} ]; do sleep 0.05; done; echo two", cron = CronClient.Never });
        var running = Run(proxy, "job", "run", name, "-f");
        await Meets(proxy, running, "/v1/cron/log/output/");
        await File.WriteAllTextAsync(go, "", Cancelled);
        var run = await running;
        (run.Code, run.Output).ShouldBe((0, "one\ntwo\n"), run.Errors);
        (await fixture.Host.Logs(name)).Count.ShouldBe(1);
    }

    [Theory]
    [InlineData(503, "application/json", """{"code": 503, "msg": "The database does not answer"}""", "The database does not answer\n")]
    [InlineData(429, "application/json", """{"code": 429, "msg": "Too many requests"}""", "Too many requests\n")]
    [InlineData(502, "text/html", "<html>Bad Gateway</html>", " does not answer as Codo does (HTTP 502).\n")]
    public async Task An_outage_is_no_refusal_and_what_changes_something_is_sent_once(int status, string type, string body, string sentence)
    {
        await using var proxy = await TestProxy.Start(fixture.Host.Http.BaseAddress!);
        var requests = 0;
        proxy.Answer = _ =>
        {
            Interlocked.Increment(ref requests);
            return Task.FromResult<(int Status, string Type, string Body)?>((status, type, body));
        };
        var run = await Run(proxy, "job", "run", "any", "-f");
        run.Code.ShouldBe(ExitCodes.Unreachable, run.Errors);
        run.Errors.ShouldEndWith(sentence);
        requests.ShouldBe(1);
        // Nothing is followed: the first answer counts.
        (await Run(proxy, "job", "list")).Code.ShouldBe(ExitCodes.Unreachable);
        requests.ShouldBe(2);
    }

    [Fact]
    public async Task A_stream_that_has_gone_silent_is_given_up()
    {
        var id = await Order("sleep 600; echo");
        var time = new FakeTimeProvider();
        var context = new ClientContext(TextReader.Null, TextWriter.Null, TextWriter.Null, _ => null) { Time = time };
        using var server = new CodoServer(context, new Uri(fixture.Url), TestTokens.Admin);
        var came = 0;
        var reading = Read();
        await Eventually.True(() => Volatile.Read(ref came) > 0, "the stream has begun");
        await Eventually.True(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(61));
                return reading.IsCompleted;
            },
            "it is given up"
        );
        (await Should.ThrowAsync<IOException>(reading)).Message.ShouldContain("has said nothing for 60 seconds");
        (await fixture.Host.Put("/v2/task/list/", new { list_id = long.Parse(id, CultureInfo.InvariantCulture) })).Code().ShouldBe(0);

        async Task Read()
        {
            await foreach (var _ in server.Events($"/v2/task/stream/?list_id={id}", null, Cancelled)) Interlocked.Increment(ref came);
        }
    }

    [Fact]
    public async Task A_run_that_ended_by_itself_keeps_no_other_from_being_killed()
    {
        await using var proxy = await TestProxy.Start(fixture.Host.Http.BaseAddress!);
        var name = ClientHost.NewName("job");
        await fixture.Host.Make(new { job_id = name, cmd = "sleep 600", cron = CronClient.Never, overlap = "allow" });
        long[] runs = [await fixture.Host.RunNow(name), await fixture.Host.RunNow(name)];
        var first = true;
        proxy.Answer = async request =>
        {
            if (request.Path != "/v1/cron/job/kill/" || !first) return null;
            first = false;
            // The newest is the first, and is gone when it is its turn.
            (await fixture.Host.Post("/v1/cron/job/kill/", new { log_id = runs[1] })).Code().ShouldBe(0);
            await fixture.Host.Ended(runs[1]);
            return null;
        };
        var killed = await Run(proxy, "job", "kill", name);
        (killed.Code, killed.Output).ShouldBe((0, $"Run {runs[0]} of {name} is being ended.\n"), killed.Errors);
        killed.Errors.ShouldContain($"Run {runs[1]} of {name}: The execution of log {runs[1]} has ended");
        await fixture.Host.Ended(runs[0]);
    }

    [Fact]
    public async Task A_job_that_files_pause_and_change_is_paused_before_it_is_changed()
    {
        await using var proxy = await TestProxy.Start(fixture.Host.Http.BaseAddress!);
        var (name, folder) = (ClientHost.NewName("job"), fixture.NewFolder());
        await fixture.Host.Make(new { job_id = name, cmd = "true", cron = CronClient.Never });
        var file = $"kind: job\njob_id: {name}\ncmd: echo changed\ncron: {CronClient.Never}\npaused: true\n";
        await File.WriteAllTextAsync(Path.Combine(folder, "x.yaml"), file, Cancelled);
        proxy.Answer = request =>
            Task.FromResult<(int Status, string Type, string Body)?>(
                request.Method == "PUT" ? (503, "application/json", """{"code": 503, "msg": "The database does not answer"}""") : null
            );
        var run = await Run(proxy, "apply", folder, "--yes");
        run.Code.ShouldBe(ExitCodes.Unreachable, run.Errors);
        (await fixture.Host.Ask<bool>("SELECT paused FROM cron.job WHERE job_id = @name", new { name })).ShouldBeTrue();
    }

    private static Task<ClientRun> Run(TestProxy proxy, params string[] arguments) =>
        ClientHost.RunIn("", [(Logins.UrlVariable, proxy.Url), (Logins.TokenVariable, TestTokens.Admin)], arguments);

    private async Task<string> Order(string command)
    {
        var name = ClientHost.NewName("template");
        var id = (await fixture.Host.Post("/v2/task_layout/temp/", new { temp_name = name }))["temp_id"]!.GetValue<long>();
        var steps = new[] { new { command_name = "wait", command, args = "WORD", group = 1, level = 1 } };
        (await fixture.Host.Put("/v2/task_layout/details/", new { temp_id = id, new_temp_data = steps })).Code().ShouldBe(0);
        return (await fixture.Run("order", "submit", name, "-H", "127.0.0.1", "-a", "WORD=x", "--ready", "-o", "name")).Text.Trim();
    }

    // Cuts what the command has open once it has had an answer, and waits until it has met the whole outage.
    private static async Task Meets(TestProxy proxy, Task<ClientRun> command, params string[] paths)
    {
        await Eventually.True(() => command.IsCompleted || paths.All(path => proxy.Passed(path) > 0), "it follows");
        var outage = new Outage(paths);
        proxy.Answer = outage.Answer;
        proxy.Cut();
        await Eventually.True(() => command.IsCompleted || outage.IsOver, "it has met the outage");
        command.IsCompleted.ShouldBeFalse("the outage is not its end");
    }

    /// <summary>On each path twice Codo's own answer without its database, then twice that of a proxy without Codo.</summary>
    private sealed class Outage(string[] paths)
    {
        private readonly ConcurrentDictionary<string, int> asked = new();

        /// <summary>Whether each path was asked for once more than it failed.</summary>
        public bool IsOver => Array.TrueForAll(paths, path => asked.GetValueOrDefault(path) > 4);

        public Task<(int Status, string Type, string Body)?> Answer(HttpRequest request)
        {
            var path = request.Path.ToString();
            var count = paths.Contains(path) ? asked.AddOrUpdate(path, 1, (_, before) => before + 1) : int.MaxValue;
            (int Status, string Type, string Body)? answer = count switch
            {
                <= 2 => (503, "application/json", """{"code": 503, "msg": "The database does not answer in time; try again shortly"}"""),
                <= 4 => (502, "text/html", "<html><head><title>502 Bad Gateway</title></head></html>"),
                _ => null,
            };
            return Task.FromResult(answer);
        }
    }
}
