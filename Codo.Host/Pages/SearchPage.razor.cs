using System.Globalization;
using System.Runtime.ExceptionServices;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Ui;
using Microsoft.AspNetCore.Components;

namespace Codo.Host.Pages;

/// <summary>Lines of the output of jobs and of orders that contain a text, equal ones together. Modules bring what is looked through.</summary>
public sealed partial class SearchPage
{
    private const int MostText = 300;

    private List<SearchTarget> places = [];
    private List<IOutputSearch> seen = [];
    private (string Name, string Path)? only;

    [Inject]
    private IEnumerable<IOutputSearch> Searches { get; set; } = null!;

    [Inject]
    private ILogger<SearchPage> Log { get; set; } = null!;

    private int Around => (int)Math.Min(5, AskedNumber("context") ?? 0);

    /// <summary>The one that is searched alone; null for all.</summary>
    private IOutputSearch? Alone =>
        seen.FirstOrDefault(search => search.Key == Asked("in"))
            ?? (seen is [var single] ? single : seen.FirstOrDefault(search => Asked(search.Within) is not null || OnlyOf(search) is not null));

    /// <inheritdoc/>
    protected override async Task Load()
    {
        seen = [.. Searches.Where(search => search.IsSeen(Access)).OrderBy(search => search.Rank)];
        if (Alone is { } alone && OnlyOf(alone) is { } value) only = await alone.Named(value, Mediator, Context.RequestAborted);
        if (Asked("q") is not { } text) return;
        places = [.. await Task.WhenAll((Alone is { } one ? [one] : seen).Select(search => Find(search, text)))];
        // Where nothing could be searched the page says so with its status.
        if (places.All(place => place.Error is not null)) ExceptionDispatchInfo.Throw(places[0].Error!);
    }

    private string? OnlyOf(IOutputSearch search) => search.Only is { } name ? Asked(name) : null;

    private async Task<SearchTarget> Find(IOutputSearch search, string text)
    {
        var page = Alone is null ? 1 : PageNumber;
        var sought = new OutputSought(text, Asked(search.Within), Asked("from"), Asked("to"), Around, page, OnlyOf(search));
        var place = new SearchTarget(search, search.Api(sought));
        try
        {
            var found = await search.Find(sought, Mediator, Context.RequestAborted);
            return place with { Found = found, Groups = [.. found.Lines.GroupBy(line => line.Text).Select(same => same.ToList())] };
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            if (error is not Refusal) Log.LogWarning(error, "The search in {Place} failed", search.Key);
            return place with { Error = error };
        }
    }

    /// <summary>The page of one kind, with the words, times and context that are asked for.</summary>
    private string Address(IOutputSearch? search, int page = 1)
    {
        var query = new List<(string Name, string? Value)> { ("q", Asked("q")), ("in", search?.Key) };
        if (search is not null) query.Add((search.Within, Asked(search.Within)));
        if (search?.Only is { } name) query.Add((name, Asked(name)));
        query.AddRange([("from", Asked("from")), ("to", Asked("to")), ("context", Around == 0 ? null : Around.ToString(CultureInfo.InvariantCulture))]);
        if (page > 1) query.Add(("page", page.ToString(CultureInfo.InvariantCulture)));
        var text = string.Join('&', query.Where(pair => pair.Value is not null).Select(pair => $"{pair.Name}={Uri.EscapeDataString(pair.Value!)}"));
        return "/search" + (text.Length > 0 ? "?" + text : "");
    }

    private static string WhyNot(Exception error) =>
        error switch
        {
            Refusal refusal => refusal.Text.ToString(),
            _ when DatabaseErrors.IsTransient(error) => T("数据库暂时没有回答，请重试", "The database did not answer; try again"),
            _ => T("这一部分搜索失败，其余结果不受影响", "The search failed here; what else is shown is not touched by it"),
        };

    private static string PlacesOf(OutputSearchWords words, List<OutputLine> same)
    {
        var places = same.Select(line => line.Place).Distinct().ToList();
        return (places.Count > 1 ? words.Count(places.Count) + T("：", ": ") : "") + string.Join(", ", places);
    }

    /// <summary>A line cut to what fits, in parts: every second one is what was looked for.</summary>
    private List<string> Parts(string text)
    {
        var sought = Asked("q")!;
        var at = text.IndexOf(sought, StringComparison.OrdinalIgnoreCase);
        if (at > MostText - 60) text = "…" + Cut(text[Whole(text, at - 60)..]);
        else text = Cut(text);
        var parts = new List<string>();
        var from = 0;
        while ((at = text.IndexOf(sought, from, StringComparison.OrdinalIgnoreCase)) >= 0)
        {
            parts.AddRange([text[from..at], text[at..(at + sought.Length)]]);
            from = at + sought.Length;
        }
        parts.Add(text[from..]);
        return parts;
    }

    private static string Cut(string text) => text.Length > MostText ? text[..Whole(text, MostText)] + "…" : text;

    // No half of a pair of surrogates.
    private static int Whole(string text, int at) => char.IsLowSurrogate(text[at]) ? at - 1 : at;

    private sealed record SearchTarget(IOutputSearch Search, string Api)
    {
        public OutputFound? Found { get; init; }

        public Exception? Error { get; init; }

        public List<List<OutputLine>> Groups { get; init; } = [];
    }
}
