using System.Text.Json.Nodes;
using Codo.Tests.Support;
using Dapper;

namespace Codo.Tests.Modules.Tasks.Layout;

/// <summary>A host, and what tests of the library ask of it again and again.</summary>
public sealed class LibraryHost(TestPostgres postgres) : HostFixture(postgres)
{
    internal const string Command = "/v2/task_layout/command/",
        Args = "/v2/task_layout/args/",
        Temp = "/v2/task_layout/temp/",
        Details = "/v2/task_layout/details/",
        User = "/v2/task_layout/user/",
        TempArgs = "/v2/task_layout/temp/args/";

    internal static string Name(string what = "n") => $"{what}-{Guid.NewGuid():N}"[..20];

    internal async Task<long> AddTemplate(string? token = null)
    {
        var answer = await Host.Post(Temp, new { temp_name = Name("temp") }, token);
        answer.Code().ShouldBe(0);
        return answer["temp_id"]!.GetValue<long>();
    }

    internal Task<JsonObject> Show(long tempId) => Host.Get($"{Details}?temp_id={tempId}");

    internal async Task<IReadOnlyList<(string Action, string Before, string After)>> Audited(string kind, long id)
    {
        await using var connection = await Host.Source.OpenConnectionAsync();
        return (
            await connection.QueryAsync<(string, string, string)>(
                "SELECT action, COALESCE(before::text, ''), COALESCE(after::text, '') FROM platform.audit WHERE kind = @kind AND object_id = @id ORDER BY "
                    + "audit_id",
                new { kind, id = $"{id}" }
            )
        ).AsList();
    }
}

internal static class AnswerReading
{
    public static int Code(this JsonObject answer) => answer["code"]!.GetValue<int>();

    public static string Msg(this JsonObject answer) => answer["msg"]!.GetValue<string>();

    public static JsonArray Data(this JsonObject answer) => answer["data"]!.AsArray();

    public static void ShouldSay(this JsonObject answer, int code, string msg) => (answer.Code(), answer.Msg()).ShouldBe((code, msg));

    public static void ShouldRefuseNaming(this JsonObject answer, string field)
    {
        answer.Code().ShouldBe(-1, answer.ToJsonString());
        answer.Msg().ShouldContain(field);
    }
}
