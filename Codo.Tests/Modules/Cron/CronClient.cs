using System.Text.Json.Nodes;
using Codo.Tests.Support;

namespace Codo.Tests.Modules.Cron;

/// <summary>What cron tests ask of a host again and again.</summary>
internal static class CronClient
{
    /// <summary>A date that never comes while a test runs: the job fires by hand only.</summary>
    public const string Never = "0 0 0 29 2 *";

    public static int Code(this JsonObject answer) => answer["code"]!.GetValue<int>();

    public static string Msg(this JsonObject answer) => answer["msg"]!.GetValue<string>();

    /// <summary>Makes a job and fails the test when that is refused.</summary>
    public static async Task Make(this TestHost host, object job)
    {
        var answer = await host.Post("/v1/cron/job/", job);
        answer.Code().ShouldBe(0, answer.ToJsonString());
    }

    /// <summary>Runs a job now and answers its log id.</summary>
    public static async Task<long> RunNow(this TestHost host, string jobId)
    {
        var answer = await host.Post("/v1/cron/job/run/", new { job_id = jobId });
        answer.Code().ShouldBe(0, answer.ToJsonString());
        return answer["log_id"]!.GetValue<long>();
    }

    public static async Task<List<JsonObject>> Logs(this TestHost host, string jobId)
    {
        var answer = await host.Get($"/v1/cron/log/?limit=1000&key=job_id&value={Uri.EscapeDataString(jobId)}");
        answer.Code().ShouldBe(0, answer.ToJsonString());
        return answer["data"]!.AsArray().Select(row => row!.AsObject()).ToList();
    }

    public static async Task<JsonObject> Log(this TestHost host, long logId) =>
        (await host.Get($"/v1/cron/log/?key=log_id&value={logId}"))["data"]!.AsArray().Single()!.AsObject();

    public static string Status(this JsonObject log) => log["status"]!.GetValue<string>();

    /// <summary>Waits until the execution has ended, and answers its row.</summary>
    public static Task<JsonObject> Ended(this TestHost host, long logId, double seconds = 90) =>
        Eventually.Get(async () => (JsonObject?)await host.Log(logId), log => log.Status() is not ("queued" or "running"), $"log {logId} has ended", seconds);

    public static Task<JsonObject> Running(this TestHost host, long logId) =>
        Eventually.Get(async () => (JsonObject?)await host.Log(logId), log => log.Status() == "running", $"log {logId} runs");
}
