using System.Globalization;

namespace Codo.Modules.Tasks.Logs;

/// <summary>Lines of the output of all orders that contain a text, equal ones together.</summary>
public sealed partial class SearchPage
{
    private const int Limit = 200, MostText = 300;

    private SearchLogs.Result? found;
    private List<List<SearchLogs.Row>> lines = [];

    private string Api => $"/v2/task/log/search/?limit={Limit}&context={Around}&q={Uri.EscapeDataString(Asked("q") ?? "")}";

    private int Around => (int)Math.Min(5, AskedNumber("context") ?? 0);

    private string Older => With("page", null) + "&page=" + (PageNumber + 1).ToString(CultureInfo.InvariantCulture);

    /// <inheritdoc/>
    protected override async Task Load()
    {
        if (Asked("q") is not { } text) return;
        found = await Send(new SearchLogs.Query(text, null, Asked("host"), Asked("from"), Asked("to"), PageNumber, Limit, Around));
        lines = [.. found.Data.GroupBy(row => row.LogInfo).Select(same => same.ToList())];
    }

    private static string Address(SearchLogs.Row row) =>
        $"/orders/{row.ListId.ToString(CultureInfo.InvariantCulture)}?host={Uri.EscapeDataString($"^{row.Host}$")}";

    private static string HostsOf(List<SearchLogs.Row> same)
    {
        var hosts = same.Select(row => row.Host).Distinct().ToList();
        var count = hosts.Count > 1 ? T($"{hosts.Count} 台：", $"{hosts.Count} hosts: ") : "";
        return count + string.Join(", ", hosts);
    }

    private static string Cut(string text) =>
        text.Length > MostText ? text[..(char.IsHighSurrogate(text[MostText - 1]) ? MostText - 1 : MostText)] + "…" : text;
}
