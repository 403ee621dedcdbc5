using System.Net;
using System.Text.RegularExpressions;
using Codo.Modules.Alerts.Incidents;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Modules.Alerts.Channels;

/// <summary>
/// The page that a message links to: what happened and who was told, at phone width, with a button that acknowledges. Without a token it is a sign-in form and
/// shows nothing of the incident. It stands beside the channels, which know of incidents, and incidents not of them.
/// </summary>
internal static partial class IncidentPage
{
    private const string ReadSql = $"""
        SELECT {IncidentView.Columns} FROM alerts.task_monitor m WHERE m.id = @Id AND {IncidentVisibility.Visible}
        """;

    private const int MostMessages = 20;

    private const string DarkColors = "--blue: #6aa8ff; --red: #ff8a80; --green: #81c784; --amber: #ffb74d;";

    // As the API asks for the messages of an incident.
    private static readonly Right ToSeeMessages = Right.To(Verbs.See, ResourceKind.Job);

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/i/{id:long}", (RequestDelegate)Show).Needs(Right.Anybody).ExcludeFromDescription();
        // Whoever presses its button after the end of the session, or may not, gets a page as well: Act asks for the right itself.
        routes.MapPost("/i/{id:long}", (RequestDelegate)Act).Needs(Right.Anybody).WithMetadata(new FromOwnPages()).ExcludeFromDescription();
    }

    private static async Task Show(HttpContext context)
    {
        if (Caller.Of(context) is null)
        {
            await Write(context, StatusCodes.Status401Unauthorized, Pair("请先登录", "Sign in"), SignIn(Id(context), context.Request.Query["refused"].ToString()));
            return;
        }
        await Show(context, null);
    }

    private static async Task Act(HttpContext context)
    {
        if (Caller.Of(context) is not { } caller)
        {
            await Show(context);
            return;
        }
        if (!IncidentVisibility.ToAct.Holds(caller, context.RequestServices))
        {
            // As the gate notes what it refuses.
            context
                .RequestServices.GetRequiredService<RefusedAttempts>()
                .Refused(caller, RefusedAttempts.Route(context), $"needs {IncidentVisibility.ToAct.Name}");
            var missing = IncidentVisibility.ToAct.Missing(caller, context.RequestServices);
            await Show(context, Refusal.Forbidden(missing.Zh, missing.En));
            return;
        }
        var form = await Forms.Read(context);
        try
        {
            await context
                .RequestServices.GetRequiredService<IMediator>()
                .Send(new ChangeIncident.Command(Id(context), form["action"].ToString()), context.RequestAborted);
        }
        catch (Refusal refusal)
        {
            context.RequestServices.GetRequiredService<RefusedAttempts>().Refused(caller, RefusedAttempts.Route(context), refusal);
            await Show(context, refusal);
            return;
        }
        // 303: a reload of the page shows it again, and does not act again.
        context.Response.StatusCode = StatusCodes.Status303SeeOther;
        context.Response.Headers.Location = context.Request.Path.Value;
    }

    private static async Task Show(HttpContext context, Refusal? refused)
    {
        var services = context.RequestServices;
        var access = services.GetRequiredService<Access>();
        if (await Read(context, access) is not { } row)
        {
            await Write(
                context,
                StatusCodes.Status404NotFound,
                Pair("没有这个事件", "No such incident"),
                $"<p>{Pair("它不存在，或你无权查看。", "It does not exist, or you may not see it.")}</p>{Line([All])}"
            );
            return;
        }
        var mayAct = await IncidentVisibility.MayActOn(access, row.SpaceId, row.ToldByName, row.ToldIds);
        var messages = ToSeeMessages.Holds(access.Caller, services)
            ? await services
                .GetRequiredService<IMediator>()
                .Send(new ListDeliveries.Query(1, MostMessages, row.Id, null, null, null), context.RequestAborted)
            : null;
        await Write(
            context,
            refused is null ? 200 : 409,
            Language.English ? row.TitleEn : row.TitleZh,
            Body(
                services.GetRequiredService<Zone>(),
                services.GetRequiredService<TimeProvider>().GetUtcNow().UtcDateTime,
                row,
                refused,
                IncidentVisibility.WhyNot(access.Caller, services, mayAct),
                messages
            )
        );
    }

    private static async Task<IncidentView.Row?> Read(HttpContext context, Access access)
    {
        var readers = context.RequestServices.GetServices<IResourceReader>();
        await using var connection = await context.RequestServices.GetRequiredService<NpgsqlDataSource>().OpenConnectionAsync(context.RequestAborted);
        var asked = new DynamicParameters(await IncidentVisibility.Parameters(connection, access, readers));
        asked.AddDynamicParams(new { Id = Id(context) });
        return await connection.QuerySingleOrDefaultAsync<IncidentView.Row>(ReadSql, asked);
    }

    private static string Body(Zone zone, DateTime now, IncidentView.Row row, Refusal? refused, Text? mayNot, ListDeliveries.Result? messages)
    {
        var state = row.State switch
        {
            "open" => Pair("未处理", "Open"),
            "acknowledged" => Pair($"{row.Acknowledger} 已确认", $"Acknowledged by {row.Acknowledger}"),
            _ when row.Ending == "deleted" => Pair("已关闭（任务已删除）", "Closed (the job was deleted)"),
            _ when row.Ending == "ended" => Pair("已关闭（订单已结束）", "Closed (the order has ended)"),
            _ => Pair($"已解决（{row.Resolver}）", $"Resolved ({row.Resolver})"),
        };
        var facts = new List<(string Name, string Value)>
        {
            (Pair("首次", "First"), zone.Text(row.Ctime)),
            (Pair("最近", "Last"), zone.Text(row.LastTime)),
            (Pair("次数", "Times"), $"{row.Count}"),
        };
        if (row.CallUsers.Length > 0) facts.Add((Pair("通知", "Told"), row.CallUsers.Replace(",", ", ", StringComparison.Ordinal)));
        if (row.SilenceId is not null) facts.Add((Pair("静默", "Silenced"), $"{row.SilenceId}"));
        if (row.AcknowledgedAt is { } acknowledged) facts.Add((Pair("确认于", "Acknowledged"), zone.Text(acknowledged)));
        if (row.ResolvedAt is { } resolved) facts.Add((Pair("解决于", "Resolved"), zone.Text(resolved)));
        if (row.ResolvedAt is { } over) facts.Add((Pair("持续", "Lasted"), DurationWords.Of(over - row.Ctime, Language.English)));
        var detail = Language.English ? row.DetailEn : row.DetailZh;
        var asOf = $"{zone.Text(now)[11..]} {zone.Info.Id}";
        // The page does not update itself, so it says when its facts were read.
        return $"""
            <p class="state {row.State}">{Encode(state)}</p>
            <p class="now"><span>{Pair($"截至 {Encode(asOf)}", $"As of {Encode(asOf)}")}</span> · <a href="/i/{row.Id}">{Pair("重新载入", "Reload")}</a></p>
            {(refused is null ? "" : $"<p class=\"error\">{Encode(refused.Text.ToString())}</p>")}
            <pre class="detail">{Encode(detail)}</pre>
            <dl>{string.Concat(facts.Select(fact => $"<dt>{Encode(fact.Name)}</dt><dd>{Encode(fact.Value)}</dd>"))}</dl>
            {Buttons(row, mayNot, refused)}
            {Links(row)}
            {(row.Output.Length == 0 ? "" : $"<h2>{Pair("最后的输出", "Last lines of output")}</h2><pre>{Encode(row.Output)}</pre>")}
            {Messages(zone, messages)}
            <p class="foot">{(Language.English ? "" : Encode(row.CallInfo) + " · ")}#{row.Id}</p>
            """;
    }

    private static (string Path, string Name) All => ("/incidents", Pair("全部事件", "All incidents"));

    // call_info is the original's line, and names the run: ID-{log_id} 任务-{job_id} 类型-cron.
    private static string Links(IncidentView.Row row)
    {
        List<(string Path, string Name)> links = [];
        if (row.ListId is { } order)
            links =
            [
                ($"/orders/{order}", Pair($"订单 {order}", $"Order {order}")),
                ($"/orders/{order}/timeline", Pair("时间线与记录", "Timeline and record")),
            ];
        else if (row.Source == "job")
        {
            if (RunId().Match(row.CallInfo) is { Success: true } run && run.Groups[1].Value is var id and not "0")
                links = [($"/runs/{id}", Pair($"执行 {id}", $"Run {id}"))];
            if (row.Subjects is [var job]) links.Add(($"/jobs/{Uri.EscapeDataString(job)}", Pair($"任务 {job}", $"Job {job}")));
        }
        return Line([.. links, All]);
    }

    private static string Line(IEnumerable<(string Path, string Name)> links) =>
        $"<p class=\"links\">{string.Join(" · ", links.Select(link => $"<a href=\"{Encode(link.Path)}\">{Encode(link.Name)}</a>"))}</p>";

    [GeneratedRegex("^ID-([0-9]{1,19}) ", RegexOptions.CultureInvariant)]
    private static partial Regex RunId();

    // The newest first, as the API lists them, and with what it shows of them to this caller.
    private static string Messages(Zone zone, ListDeliveries.Result? messages)
    {
        if (messages is not { Data.Count: > 0 }) return "";
        var (shown, all) = (messages.Data.Count, messages.Count);
        var rest = all > shown ? $"<p class=\"foot\">{Pair($"最近 {shown} 条，共 {all} 条", $"The newest {shown} of {all}")}</p>" : "";
        return $"<h2>{Pair("消息", "Messages")}</h2><ol class=\"messages\">{string.Concat(messages.Data.Select(one => Message(zone, one)))}</ol>{rest}";
    }

    private static string Message(Zone zone, ListDeliveries.View message)
    {
        var (tone, state) = message.State switch
        {
            "sent" => ("resolved", Pair("已发送", "sent")),
            "failed" => ("open", Pair("发送失败", "failed")),
            "held" => ("acknowledged", Pair("限流，等待汇总", "held for a digest")),
            "digested" => ("acknowledged", Pair("并入汇总", "in a digest")),
            "sending" => ("", Pair("正在发送", "being sent")),
            _ => ("", Pair("待发送", "to be sent")),
        };
        var why = message.Reason switch
        {
            "opened" => Pair("发生", "opened"),
            "repeated" => Pair("再次提醒", "repeated"),
            "escalated" => Pair("升级", "escalated"),
            _ => Pair("已结束", "over"),
        };
        var tries = message.Attempts > 1 ? Pair($"（{message.Attempts} 次）", $" ({message.Attempts} tries)") : "";
        var people = message.People.Length == 0 ? "" : $"<br>{Encode(string.Join(", ", message.People))}";
        var answer = message.Answer.Length == 0 ? "" : $"<pre>{Encode(message.Answer)}</pre>";
        return $"""
            <li>{zone.Text(message.EndedAt ?? message.StartedAt ?? message.CreateTime)} · <strong>{Encode(message.ChannelName)}</strong> · {why} ·
            <span class="{tone}">{state}{tries}</span>{people}{answer}</li>
            """;
    }

    private static string Buttons(IncidentView.Row row, Text? mayNot, Refusal? refused)
    {
        if (row.State == IncidentState.Resolved.Word()) return "";
        // The refusal of what was tried has said it.
        if (mayNot is { } why) return why == refused?.Text ? "" : $"<p class=\"foot\">{Encode(why.ToString())}</p>";
        var acknowledge =
            row.State == IncidentState.Open.Word() ? $"""<button name="action" value="acknowledge">{Pair("我来处理", "Acknowledge")}</button>""" : "";
        var resolve = $"""<button class="second" name="action" value="resolve">{Pair("标记为已解决", "Resolve")}</button>""";
        return $"""<form method="post" action="/i/{row.Id}">{acknowledge}{resolve}</form>""";
    }

    /// <param name="refused">Why the token that was given is none, as the sign-in says it; empty before the first.</param>
    private static string SignIn(long id, string refused) =>
        $"""
            <form method="post" action="/sign-in/"><input type="hidden" name="next" value="/i/{id}">
            {(refused.Length == 0 ? "" : $"<p class=\"error\">{Encode(Why(refused))}</p>")}
            <label for="token">{Pair("令牌", "Token")}</label><input id="token" name="token" type="password" autocomplete="off" required autofocus>
            <button>{Pair("登录", "Sign in")}</button></form>
            <p class="links"><a href="/sign-in/?next=%2Fi%2F{id}">{Pair("用密码或单点登录", "Sign in with a password or single sign-on")}</a></p>
            <p class="foot">{Pair("得到令牌的两种方式：", "Two ways to get a token:")}</p>
            <ol class="foot"><li>{Pair(
                "登录 codo-admin 的控制台：它签发的令牌在这里有效，同域时打开此链接不再需要登录。",
                "Sign in to codo-admin's console: its tokens are good here, and on the same domain this link then asks for none."
            )}</li>
            <li>{Pair("请管理员在 Codo 所在的机器上执行", "Ask an administrator to run, on Codo's machine,")} <code>codo token --user {Pair(
                "名字",
                "NAME"
            )}</code></li></ol>
            """;

    private static string Why(string reason) => reason switch
    {
        "expired" => Pair("令牌已过期", "The token has expired"),
        "not_yet_valid" => Pair("令牌尚未生效", "The token is not valid yet"),
        "signature" => Pair("令牌的签名不正确：它不是为这里签发的", "The token's signature is wrong: it was signed for another place"),
        "no_user_id" => Pair("令牌里没有 user_id", "The token has no user_id"),
        _ => Pair("这不是令牌，请检查是否完整", "This is no token: was all of it copied?"),
    };

    private static Task Write(HttpContext context, int status, string title, string body)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/html; charset=utf-8";
        context.Response.Headers.CacheControl = "no-store";
        context.Response.Headers.ContentSecurityPolicy =
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
        return context.Response.WriteAsync(
            $$"""
            <!doctype html>
            <html lang="{{Pair("zh", "en")}}" data-theme="{{Theme(context)}}"><head>
            <meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{Encode(
                title
            )}}</title>
            <style>
            :root { color-scheme: light dark; --line: #8884; --soft: #8881; --blue: #0b62d6; --red: #c62828; --green: #2e7d32; --amber: #b26a00; }
            @media (prefers-color-scheme: dark) { :root[data-theme="auto"] { {{DarkColors}} } }
            :root[data-theme="light"] { color-scheme: light; } :root[data-theme="dark"] { color-scheme: dark; {{DarkColors}} }
            body { font: 16px/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; max-width: 40rem; margin: 0 auto;
                padding: 1.2rem 1rem 3rem; overflow-wrap: anywhere; }
            h1 { font-size: 1.35rem; line-height: 1.35; margin: 0 0 .4rem; } h2 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
            .state { display: inline-block; margin: 0 0 .6rem; padding: .1rem .7rem; border-radius: 1rem; font-weight: 600; border: 1px solid currentColor; }
            .now { margin: 0 0 .4rem; font-size: .85rem; } .now span { opacity: .7; }
            .open { color: var(--red); } .acknowledged { color: var(--amber); } .resolved { color: var(--green); } .error { color: var(--red); }
            pre { font: .82rem/1.5 ui-monospace, monospace; white-space: pre-wrap; background: var(--soft); border: 1px solid var(--line);
                border-radius: .5rem; padding: .7rem .8rem; margin: .4rem 0; }
            pre.detail { font: inherit; background: none; border: 0; padding: 0; }
            dl { display: grid; grid-template-columns: auto 1fr; gap: .15rem 1rem; margin: .8rem 0; } dt { opacity: .7; } dd { margin: 0; }
            form { display: grid; gap: .6rem; margin: 1rem 0; } label { font-weight: 600; }
            input { font: inherit; padding: .6rem .7rem; border: 1px solid var(--line); border-radius: .5rem; background: Canvas; color: CanvasText;
                min-width: 0; }
            button { font: inherit; font-weight: 600; min-height: 2.9rem; border: 0; border-radius: .5rem; background: var(--blue); color: Canvas;
                cursor: pointer; }
            button.second { background: none; color: var(--blue); border: 1px solid var(--blue); }
            a { color: var(--blue); } .links { line-height: 2.2; }
            .messages { list-style: none; padding: 0; margin: .4rem 0; } .messages li { margin: .5rem 0; }
            .foot { opacity: .7; font-size: .85rem; margin-top: 1.6rem; }
            </style></head><body><h1>{{Encode(title)}}</h1>{{body}}</body></html>
            """, context.RequestAborted);
    }

    private static long Id(HttpContext context) => long.Parse((string)context.Request.RouteValues["id"]!, System.Globalization.CultureInfo.InvariantCulture);

    private static string Theme(HttpContext context) => context.Request.Cookies["codo_theme"] is ("light" or "dark") and { } theme ? theme : "auto";

    private static string Pair(string zh, string en) => Language.English ? en : zh;

    private static string Encode(string text) => WebUtility.HtmlEncode(text);
}
