using Codo.Platform.Localization;
using Codo.Platform.Ui;
using Microsoft.AspNetCore.Components;

namespace Codo.Modules.Alerts.Rules;

/// <summary>The way between the pages that say who is told of what, and how.</summary>
public sealed partial class AlertingTabs
{
    [Parameter]
    public Page Page { get; set; } = null!;

    private static IEnumerable<(string Path, string Word)> Pages =>
        [
            ("/alerting", T("规则", "Rules")),
            ("/alerting/channels", T("渠道", "Channels")),
            ("/alerting/silences", T("静默", "Silences")),
            ("/alerting/contacts", T("联系人", "Contacts")),
        ];

    private static string T(string zh, string en) => new Text(zh, en).ToString();
}
