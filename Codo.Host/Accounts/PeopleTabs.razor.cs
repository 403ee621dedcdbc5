using Codo.Platform.Localization;
using Codo.Platform.Ui;
using Microsoft.AspNetCore.Components;

namespace Codo.Host.Accounts;

/// <summary>The way between the pages about people and their rights.</summary>
public sealed partial class PeopleTabs
{
    [Parameter]
    public Page Page { get; set; } = null!;

    private static IEnumerable<(string Path, string Word)> Pages =>
        [
            ("/people", T("人员", "People")),
            ("/people/teams", T("团队", "Teams")),
            ("/people/spaces", T("空间", "Spaces")),
            ("/people/grants", T("授权", "Grants")),
            ("/people/explain", T("解释权限", "Explain")),
            ("/account", T("我的账号", "My account")),
        ];

    private static string T(string zh, string en) => new Text(zh, en).ToString();
}
