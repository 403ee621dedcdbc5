using System.Text.Json;
using System.Text.Json.Nodes;

namespace Codo.Host.Accounts;

/// <summary>Who did what, newest first: the object, what became of it, and each field that changed.</summary>
public sealed partial class AuditPage
{
    private const int Limit = 50, MostNamed = 3;

    private static readonly string[] Kinds =
    [
        "job", "order", "template", "command", "argument", "execute_user", "incident", "alert_rule", "silence", "alert_channel", "contact", "person", "account",
        "access_token", "team", "grant", "space", "audit",
    ];

    private ListAudit.Result found = null!;

    private string Api => $"/v2/accounts/audit/{Context.Request.QueryString}";

    private string Export => $"/v2/accounts/audit/export/{With("after", null)[Context.Request.Path.Value!.Length..]}";

    private static IEnumerable<(string Value, string Word)> Results =>
        [("", T("全部", "All")), ("bad", T("被拒绝和失败的", "Refused and failed"))];

    /// <inheritdoc/>
    protected override async Task Load() =>
        found = await Send(
            new ListAudit.Query(
                Asked("who"),
                Asked("kind"),
                Asked("object"),
                Asked("action"),
                Asked("result"),
                Asked("from"),
                Asked("to"),
                Asked("after"),
                Limit
            )
        );

    private static string? AddressOf(AuditRow row) =>
        row.Object.Length == 0
            ? null
            : row.Kind switch
            {
                "job" => $"/jobs/{Uri.EscapeDataString(row.Object)}",
                "order" => $"/orders/{Uri.EscapeDataString(row.Object)}",
                "incident" => $"/i/{Uri.EscapeDataString(row.Object)}",
                "team" => $"/people/teams?team={Uri.EscapeDataString(row.Object)}",
                "person" => $"/people/grants?user_id={Uri.EscapeDataString(row.Object)}",
                _ => null,
            };

    private static string ToneOf(string result) => result switch { "ok" => "ok", "refused" => "warn", _ => "bad" };

    private static string WordOf(string result) =>
        result switch
        {
            "ok" => T("成功", "Done"),
            "refused" => T("被拒绝", "Refused"),
            _ => T("失败", "Failed"),
        };

    private static string Summary(AuditRow row) =>
        string.Join(", ", row.Changes.Take(MostNamed).Select(change => change.Field))
        + (row.Changes.Count > MostNamed ? T($" 等 {row.Changes.Count} 项", $" and {row.Changes.Count - MostNamed} more") : "");

    private static string Shown(JsonNode value)
    {
        var text = value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : value.ToJsonString(Codo.Platform.Http.Json.Stored);
        return text.Length > 2000 ? text[..2000] + "…" : text;
    }
}
