using System.Globalization;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using MediatR;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Codo.Platform.Ui;

/// <summary>Why a page shows no content.</summary>
/// <param name="Status">The HTTP status: 400, 403, 404, 409, 500 or 503.</param>
public sealed record PageProblem(int Status, Text Text);

/// <summary>
/// A page of the console. It is rendered once, after <see cref="Load"/>; a refusal of a handler becomes the page's error state with the true status, because a
/// browser shows a page and no envelope.
/// </summary>
public abstract class Page : ComponentBase
{
    [Parameter]
    public HttpContext Context { get; set; } = null!;

    [Inject]
    protected IMediator Mediator { get; set; } = null!;

    /// <summary>What the caller may do.</summary>
    [Inject]
    public Access Access { get; set; } = null!;

    /// <summary>Codo's time zone.</summary>
    [Inject]
    public Zone Zone { get; set; } = null!;

    /// <summary>PostgreSQL's clock.</summary>
    [Inject]
    public TimeProvider Time { get; set; } = null!;

    public Caller Caller => Caller.Of(Context)!;

    /// <summary>Null where the page has its content.</summary>
    public PageProblem? Problem { get; private set; }

    /// <summary>Names of the live topics whose changes the page shows, each with its version before the page was read.</summary>
    public IReadOnlyList<string> Versions { get; private set; } = [];

    /// <summary>The topics whose changes the page shows.</summary>
    public virtual IReadOnlyList<string> Topics => [];

    /// <inheritdoc/>
    public override async Task SetParametersAsync(ParameterView parameters)
    {
        parameters.SetParameterProperties(this);
        try
        {
            Versions = await Context.RequestServices.GetRequiredService<LiveTopics>().Versions(Topics, Access, Context.RequestAborted);
            await Load();
        }
        catch (Refusal refusal)
        {
            Problem = new PageProblem(Failures.StatusOf(refusal.Kind), refusal.Text);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            var log = Context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger("Codo.Ui");
            var isAway = DatabaseErrors.IsTransient(error);
            if (isAway) log.LogWarning(error, "Database away: page {Path} answered 503", Context.Request.Path.Value);
            else log.LogError(error, "Unhandled failure: page {Path}", Context.Request.Path.Value);
            var id = Context.TraceIdentifier;
            Problem = isAway
                ? new PageProblem(503, new Text("数据库暂时无法响应，页面恢复后自动刷新", "The database does not answer; this page comes back by itself"))
                : new PageProblem(500, new Text($"内部错误，请求编号 {id}", $"Internal error, request id {id}"));
        }
        if (Problem is not null) Context.Response.StatusCode = Problem.Status;
        StateHasChanged();
    }

    /// <summary>Reads what the page shows, through the handlers that the API has.</summary>
    /// <exception cref="Refusal">The page shows its error state.</exception>
    protected abstract Task Load();

    protected Task<TAnswer> Send<TAnswer>(IRequest<TAnswer> request) => Mediator.Send(request, Context.RequestAborted);

    /// <summary>A value of the query; null where it is absent or empty.</summary>
    public string? Asked(string name) => Context.Request.Query[name].ToString() is { Length: > 0 } text ? OutsideText.Storable(text) : null;

    /// <summary>A part of the path.</summary>
    protected string Part(string name) =>
        (Context.Request.RouteValues[name]?.ToString() ?? "").Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);

    /// <exception cref="Refusal">The part is no number.</exception>
    protected long NumberPart(string name) =>
        long.TryParse(Part(name), NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw Refusal.NotFound("没有这个页面", "There is no such page");

    /// <summary>The page number of the query, from 1.</summary>
    public int PageNumber => int.TryParse(Asked("page"), out var number) && number > 0 ? number : 1;

    /// <summary>What is behind <c>after</c> of the query, of lists that are read on from a row.</summary>
    protected long? After => AskedNumber("after");

    /// <summary>A number of the query; null where it is absent or none.</summary>
    protected long? AskedNumber(string name) =>
        long.TryParse(Asked(name), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    /// <summary>The address of this page with one value of its query changed; null takes it out. It begins at the first page again.</summary>
    public string With(string name, string? value)
    {
        var query = Context.Request.Query
            .Where(pair => pair.Key != name && pair.Key is not ("page" or "after"))
            .SelectMany(pair => pair.Value, (pair, text) => (pair.Key, text));
        if (value is not null) query = query.Append((name, value));
        var text = string.Join('&', query.Where(pair => pair.Item2?.Length > 0).Select(pair => $"{pair.Item1}={Uri.EscapeDataString(pair.Item2!)}"));
        return Context.Request.Path + (text.Length > 0 ? "?" + text : "");
    }

    /// <summary>The address of this page with the form of one row of its list open; the list stays on its page.</summary>
    protected string Edit(long row) => $"{With("edit", $"{row}")}&page={PageNumber}";

    /// <summary>The path of the API that answers the rows of this page's list.</summary>
    /// <param name="api">Its path, with the filters of its query where it has any.</param>
    /// <param name="limit">Rows of one page.</param>
    protected string Paged(string api, int limit) =>
        $"{api}{(api.Contains('?', StringComparison.Ordinal) ? "&" : "?")}page={PageNumber}&limit={limit}";

    /// <summary>The command that asks the API for the same.</summary>
    public string CurlOf(string api) =>
        $"curl -H \"auth-key: $CODO_TOKEN\" '{Context.Request.Scheme}://{Context.Request.Host}{api.Replace("'", "%27", StringComparison.Ordinal)}'";

    /// <summary>The text in the language of the request.</summary>
    protected static string T(string zh, string en) => new Text(zh, en).ToString();

    /// <summary>Null where the caller may do this to something of the kind; else what is missing and who can grant it.</summary>
    protected string? MayNot(Right right) => right.Holds(Caller, Context.RequestServices) ? null : right.Missing(Caller, Context.RequestServices).ToString();

    /// <summary>The same for one object.</summary>
    protected async Task<string?> MayNot(Verbs verb, Resource resource) =>
        await Access.May(verb, resource) ? null : (Access.Refuse(verb, resource).Hint?.ToString() ?? T("你没有权限", "You have no right to do this"));
}
