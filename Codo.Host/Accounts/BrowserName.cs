namespace Codo.Host.Accounts;

/// <summary>A browser and its system, from what a request says of them; other programs by their first word.</summary>
internal static class BrowserName
{
    // The first that is named counts: Edge calls itself Chrome as well, and Chrome calls itself Safari.
    private static readonly (string Mark, string Name)[] Browsers =
    [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("HeadlessChrome/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];

    private static readonly (string Mark, string Name)[] Systems =
    [
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ];

    public static string Of(string agent)
    {
        var browser = Find(Browsers, agent);
        if (browser.Length == 0) return agent.Split(' ', '/')[0];
        var system = Find(Systems, agent);
        return system.Length == 0 ? browser : $"{browser}, {system}";
    }

    private static string Find((string Mark, string Name)[] words, string agent) =>
        Array.Find(words, word => agent.Contains(word.Mark, StringComparison.Ordinal)).Name ?? "";
}
