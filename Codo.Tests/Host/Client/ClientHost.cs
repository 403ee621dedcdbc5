using System.Diagnostics;
using System.Globalization;
using Codo.Host.Client;
using Codo.Host.LocalServices;
using Codo.Tests.Support;

namespace Codo.Tests.Host.Client;

/// <summary>A host that the client's tests share, and a folder for the client's own files.</summary>
public sealed class ClientHost(TestPostgres postgres) : HostFixture(postgres, ("Codo:KnownProxies", "127.0.0.1"))
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("codo-client-");

    internal string Url => Host.Http.BaseAddress!.ToString().TrimEnd('/');

    /// <summary>A directory of its own in a folder that goes with the class.</summary>
    internal string NewFolder() => Directory.CreateDirectory(Path.Combine(folder.FullName, Guid.NewGuid().ToString("N"))).FullName;

    internal static string NewName(string about) => $"{about}-{Guid.NewGuid().ToString("N")[..8]}";

    /// <summary>Runs a command of the client in this process, as a superuser unless it is given another token.</summary>
    internal Task<ClientRun> Run(params string[] arguments) => RunWith("", arguments);

    internal Task<ClientRun> RunWith(string input, params string[] arguments) =>
        RunIn(input, [(Logins.UrlVariable, Url), (Logins.TokenVariable, TestTokens.Admin)], arguments);

    /// <summary>Starts the real program, as a superuser: what only a process with pipes can show.</summary>
    internal Task<Process> Start(params string[] arguments)
    {
        (string, string)[] signedIn = [(Logins.UrlVariable, Url), (Logins.TokenVariable, TestTokens.Admin)];
        return Children.Start(HostProcess.Command(HostProcess.Binary, arguments, null, Environment.CurrentDirectory, signedIn));
    }

    internal static async Task<ClientRun> RunIn(string input, (string Name, string Value)[] environment, params string[] arguments)
    {
        using var output = new StringWriter(CultureInfo.InvariantCulture);
        using var error = new StringWriter(CultureInfo.InvariantCulture);
        using var typed = new StringReader(input);
        var variables = environment.ToDictionary(variable => variable.Name, variable => variable.Value);
        var context = new ClientContext(typed, output, error, name => variables.GetValueOrDefault(name))
        {
            IsTerminal = variables.ContainsKey("TERM"),
            CanAsk = variables.ContainsKey("BROWSER"),
            Width = variables.TryGetValue("COLUMNS", out var columns) ? int.Parse(columns, CultureInfo.InvariantCulture) : null,
        };
        var code = await ClientProgram.Run(arguments, context);
        return new ClientRun(code, output.ToString(), error.ToString());
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        folder.Delete(recursive: true);
    }
}

/// <summary>One host for all of the client's tests.</summary>
[CollectionDefinition]
public sealed class ClientCollection : ICollectionFixture<ClientHost>;

/// <summary>How a run of the client ended.</summary>
internal sealed record ClientRun(int Code, string Output, string Errors)
{
    public string[] Lines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>What it printed, where it ended well.</summary>
    public string Text
    {
        get
        {
            Code.ShouldBe(0, $"{Output}\n{Errors}");
            return Output;
        }
    }
}
