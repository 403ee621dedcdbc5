namespace Codo.Host.Operations;

/// <summary>The settings in force, each with where it comes from.</summary>
public sealed partial class SettingsPage
{
    private List<ListSettings.Row> rows = [];

    private static IEnumerable<(string Value, string Word)> Sources =>
        [("", T("全部", "All")), ("changed", T("改动过的", "Changed")), ("default", WordOf("default"))];

    /// <inheritdoc/>
    protected override async Task Load() =>
        rows =
        [
            .. (await Send(new ListSettings.Query())).Data.Where(row =>
                (Asked("q") is not { } text || row.Name.Contains(text.Trim(), StringComparison.OrdinalIgnoreCase))
                && Asked("source") switch
                {
                    null => true,
                    "changed" => row.Source != "default",
                    var source => row.Source == source,
                }
            ),
        ];

    private static string WordOf(string source) =>
        source switch
        {
            "file" => T("文件", "File"),
            "environment" => T("环境变量", "Environment"),
            "command_line" => T("命令行", "Command line"),
            "host" => T("主机生成", "Found by the host"),
            _ => T("默认", "Default"),
        };
}
