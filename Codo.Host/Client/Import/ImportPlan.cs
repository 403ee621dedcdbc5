using System.Globalization;
using System.Text.Json.Nodes;

namespace Codo.Host.Client.Import;

/// <summary>Shows what an import would do, line by line and fire by fire, and does it.</summary>
internal sealed class ImportPlan(ClientContext context, CodoServer server, string source, IReadOnlyList<ImportItem> items)
{
    private const string Path = "/v1/cron/job/";

    private const int Fires = 20;

    private const string Mask = "******";

    private readonly Dictionary<string, JsonObject> there = new(StringComparer.Ordinal);

    /// <summary>The name of a second job that an earlier form of the same line may have made, given the first job's name.</summary>
    public Func<string, string?> SecondJobName { get; init; } = _ => null;

    /// <summary>Answers the exit code: 1 where the server refused something.</summary>
    public async Task<int> Run(bool apply, string? format)
    {
        var wrong = new Dictionary<ImportItem, string>(ReferenceEqualityComparer.Instance);
        var fires = new List<(DateTimeOffset Time, string Job, bool InCodo)>();
        foreach (var item in items.Where(item => item.Job is not null))
        {
            if (await Find(item.Job!.Text("job_id")) is { } present)
            {
                there[item.Job!.Text("job_id")] = present;
                await WarnOfSecondJob(item);
            }
            try
            {
                await Compare(item, fires);
            }
            catch (CodoServer.Refused refused)
            {
                wrong[item] = refused.Message;
            }
        }

        if (format is "json" or "yaml") Printer.Whole(context, format, Report(wrong));
        else if (format == "name") Printer.List(context, format, [.. Taken(wrong).Select(item => item.Job!)], "jobs", job => job.Text("job_id"));
        else
        {
            Show(wrong);
            ShowFires(fires);
        }
        return apply ? await Apply(wrong) : Summary(wrong);
    }

    private IEnumerable<ImportItem> Taken(Dictionary<ImportItem, string> wrong) =>
        items.Where(item => item.Job is not null && item.Refused is null && !wrong.ContainsKey(item));

    private async Task<JsonObject?> Find(string id)
    {
        try
        {
            return (await server.Ask(HttpMethod.Get, Path + CodoServer.Query(("job_id", id)), null)).Rows("data").FirstOrDefault();
        }
        catch (CodoServer.Refused)
        {
            return null;
        }
    }

    // The import of a line that has become one job makes nothing of the other one, which goes on firing.
    private async Task WarnOfSecondJob(ImportItem item)
    {
        var name = SecondJobName(item.Job!.Text("job_id"));
        if (name is null || items.Any(other => other.Job.Text("job_id") == name) || await Find(name) is not { } left) return;
        if (left.Text("state") == "running" && left.Texts("tags").Intersect(item.Job.Texts("tags")).Any())
            item.Changes.Add($"{name} of an earlier import fires too: pause or delete it.");
    }

    private async Task Compare(ImportItem item, List<(DateTimeOffset Time, string Job, bool InCodo)> fires)
    {
        var job = item.Job!;
        var answer = await server.Ask(
            HttpMethod.Get,
            $"{Path}next/{CodoServer.Query(("cron", job.Text("cron")), ("time_zone", job.Text("time_zone")), ("count", Fires))}",
            null
        );
        var name = job.Text("job_id");
        var codo = answer.Rows("data").Select(row => DateTimeOffset.Parse(row.Text("local"), CultureInfo.InvariantCulture)).ToList();
        fires.AddRange(codo.Select(time => (time, name, true)));
        if (item.Schedule is null || codo.Count == 0) return;
        var there = item.Schedule.After(context.Time.GetUtcNow(), Fires);
        fires.AddRange(there.Select(time => (time, name, false)));
        // The clock may have passed a fire between the two questions.
        var late = codo[0] > there.FirstOrDefault(codo[0]) ? there.Skip(1) : there;
        var pairs = codo.Zip(late).ToList();
        if (pairs.FirstOrDefault(pair => pair.First != pair.Second) is { First.Ticks: > 0 } pair)
            item.Changes.Add($"Fires differ: {Local(pair.First)} in Codo, {Local(pair.Second)} in {source}.");
    }

    private void Show(Dictionary<ImportItem, string> wrong)
    {
        Table.Write(
            context,
            items,
            [
                new("LINE", item => item.Place),
                new(
                    "VERDICT",
                    item => wrong.ContainsKey(item) ? "refused" : item.Verdict,
                    Color: word => word == "refused" ? Colors.Red : word == "changed" ? Colors.Yellow : Colors.Green
                ),
                new("JOB", item => item.Job.Text("job_id")),
                new("SCHEDULE", item => item.Job.Text("cron")),
                new("IN CODO", item => item.Job is null || item.Refused is not null ? "" : State(item)),
                new("SOURCE", item => item.Source, Shrinks: true),
            ],
            false
        );
        foreach (var item in items)
        {
            var notes = (item.Refused ?? wrong.GetValueOrDefault(item)) is { } why ? [why] : item.Changes;
            foreach (var note in notes) context.Output.WriteLine($"{item.Place}: {TerminalText.OneLine(note)}");
        }
    }

    private string State(ImportItem item) =>
        !there.TryGetValue(item.Job!.Text("job_id"), out var present) ? "new"
        : Different(item, present).Count == 0 ? "unchanged"
        : $"changes {string.Join(", ", Different(item, present).Select(field => field.Key))}";

    private static JsonObject Different(ImportItem item, JsonObject present)
    {
        var wanted = (JsonObject)item.Job!.DeepClone();
        // A value that the server does not show is taken for the same, or every import would change it anew.
        foreach (var (name, value) in present["env"] as JsonObject ?? [])
            if (value.AsText() == Mask && wanted["env"]?[name] is not null)
                wanted["env"]![name] = Mask;
        return JobForm.Changes(JobForm.Whole(present), wanted);
    }

    private void ShowFires(List<(DateTimeOffset Time, string Job, bool InCodo)> fires)
    {
        var codo = fires.Where(fire => fire.InCodo).Select(fire => (fire.Time, fire.Job)).Order().Take(Fires).ToList();
        if (codo.Count == 0) return;
        var last = codo[^1].Time;
        var theirs = fires.Where(fire => !fire.InCodo && fire.Time <= last).Select(fire => (fire.Time, fire.Job)).ToHashSet();
        var ours = codo.ToHashSet();
        context.Output.WriteLine();
        Table.Write(
            context,
            codo.Union(theirs).Order().Take(Fires * 2).ToList(),
            [
                new("NEXT FIRES", fire => Local(fire.Time)),
                new("CODO", fire => ours.Contains(fire) ? "fires" : "-"),
                new(source.ToUpperInvariant(), fire => theirs.Contains(fire) ? "fires" : "-"),
                new("JOB", fire => fire.Job),
            ],
            false
        );
    }

    private int Summary(Dictionary<ImportItem, string> wrong)
    {
        var refused = items.Count(item => item.Refused is not null || wrong.ContainsKey(item));
        var jobs = Taken(wrong).Count();
        context.Error.WriteLine(
            $"{jobs} jobs, {items.Count(item => item.Verdict == "changed" && !wrong.ContainsKey(item))} of them changed; {refused} refused. --apply makes them."
        );
        return ExitCodes.Done;
    }

    private async Task<int> Apply(Dictionary<ImportItem, string> wrong)
    {
        var (made, changed, same, failed) = (0, 0, 0, 0);
        var saved = new List<string>();
        foreach (var item in Taken(wrong))
        {
            var id = item.Job!.Text("job_id");
            try
            {
                var present = there.GetValueOrDefault(id);
                var body = present is null ? (JsonObject)item.Job!.DeepClone() : Different(item, present);
                if (present is not null && body.Count == 0) same++;
                else
                {
                    body["job_id"] = id;
                    // With the job, not after it: in between it would fire. What somebody let run here since then stays so.
                    if (present is null && item.IsPaused) body["paused"] = true;
                    await JobForm.Save(server, present is null ? HttpMethod.Post : HttpMethod.Put, body);
                    if (present is null) made++;
                    else changed++;
                    saved.Add(id);
                }
            }
            catch (CodoServer.Refused refused)
            {
                failed++;
                context.Error.WriteLine($"{item.Place}: {id}: {refused.Message}");
            }
            catch (ClientFailure)
            {
                context.Error.WriteLine($"{made} made, {changed} changed; {id} may have been made or not, and nothing after it was: import it once more.");
                throw;
            }
        }
        context.Error.WriteLine(
            $"{made} made, {changed} changed, {same} unchanged, {failed} refused by the server, "
                + $"{items.Count(item => item.Refused is not null) + wrong.Count} refused."
        );
        await WarnOfTwo(saved);
        return failed > 0 ? ExitCodes.Failed : ExitCodes.Done;
    }

    // The source goes on until somebody stops it, and its commands then run in both places.
    private async Task WarnOfTwo(IReadOnlyList<string> saved)
    {
        var live = 0;
        // Asked anew: a high-risk rule may hold what was just saved.
        foreach (var id in saved)
            if ((await Find(id)).Text("state") == "running") live++;
        if (live == 0) return;
        context.Error.WriteLine(
            context.IsChinese ? $"现在有 {live} 个任务在这里触发：请在来源处停用它们。"
            : live == 1 ? "1 job fires here now; stop it at the source."
            : $"{live} jobs fire here now; stop them at the source."
        );
    }

    private JsonArray Report(Dictionary<ImportItem, string> wrong) =>
        new([
            .. items.Select(item => new JsonObject
            {
                ["place"] = item.Place,
                ["source"] = item.Source,
                ["verdict"] = wrong.ContainsKey(item) ? "refused" : item.Verdict,
                ["refused"] = item.Refused ?? wrong.GetValueOrDefault(item),
                ["changes"] = new JsonArray([.. item.Changes.Select(change => JsonValue.Create(change))]),
                ["job"] = item.Job?.DeepClone(),
            }),
        ]);

    private static string Local(DateTimeOffset time) => time.ToString("yyyy-MM-dd HH:mm:sszzz", CultureInfo.InvariantCulture);
}
