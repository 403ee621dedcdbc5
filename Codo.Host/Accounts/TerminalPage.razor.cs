namespace Codo.Host.Accounts;

/// <summary>
/// Where <c>codo login</c> sends the browser: a person compares the code and lets the terminal have a token. It leads to no place but a port of the browser's
/// own machine.
/// </summary>
public sealed partial class TerminalPage
{
    private const int FirstPort = 1024, LastPort = 65535;

    private string? challenge;
    private string name = "";
    private long port;
    private long days;
    private string[] scopes = [];

    /// <inheritdoc/>
    protected override Task Load()
    {
        port = AskedNumber("port") ?? 0;
        challenge = TerminalChallenge.IsOne(Asked("challenge")) && port is >= FirstPort and <= LastPort ? Asked("challenge") : null;
        name = Asked("name") ?? "codo";
        days = AskedNumber("days") ?? 1;
        scopes = (Asked("scopes") ?? "").Split(',');
        return Task.CompletedTask;
    }
}
