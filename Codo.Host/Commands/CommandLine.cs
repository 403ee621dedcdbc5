using System.CommandLine;
using System.Net.Sockets;
using Codo.Host.Client;
using Codo.Host.LocalServices;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Security;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Codo.Host.Commands;

/// <summary>
/// The commands of the binary. What a command does not know and what looks like a setting (<c>--Codo:TimeZone=UTC</c>, <c>--urls http://…</c>) goes to the
/// host's configuration.
/// </summary>
internal static class CommandLine
{
    /// <summary>The operator has to change something before it can work.</summary>
    private const int Refused = 2;

    /// <summary>
    /// It may work later, and nobody has to change anything (EX_TEMPFAIL of sysexits.h): the database does not answer, or does not start, another process has
    /// the data directory, or the installation was restored. A service manager starts the host again.
    /// </summary>
    private const int Away = 75;

    public static async Task<int> Run(string[] arguments)
    {
        // Commands of the client are run before this; their names are wanted for the help alone.
        var root = Root(arguments is ["--help" or "-h" or "-?"] ? ClientProgram.All(ClientContext.OfProcess()) : []);
        root.TreatUnmatchedTokensAsErrors = false;
        root.SetAction((parsed, _) => Hosting.Serve(SettingsOf(parsed)));
        try
        {
            // The parser drops a first argument whose end is the program's name, and --Codo:DataDirectory=/srv/codo is one: the name itself goes first. No
            // response files: a value may begin with @.
            var parsed = root.Parse([RootCommand.ExecutableName, .. arguments], new ParserConfiguration { ResponseFileTokenReplacer = null });
            if (parsed.Errors.Count > 0)
                throw new StartRefused(string.Join(Environment.NewLine, parsed.Errors.Select(error => error.Message).Distinct()));
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception failure) when (Sentence(failure) is not null)
        {
            await Console.Error.WriteLineAsync(Sentence(failure));
            return failure is PostgresDidNotStart or DirectoryIsHeld or InstallationWasRestored || DatabaseErrors.IsAway(failure) ? Away : Refused;
        }
    }

    /// <summary>Every command of the installation, and others beside them.</summary>
    public static RootCommand Root(IEnumerable<Command> others)
    {
        var root = new RootCommand(
            ("Codo: cron jobs, orders of tasks, and alerts. Any setting can be given as --Key=value, such as --urls=http://0.0.0.0:9900 or "
                + "--Codo:TimeZone=UTC; --config FILE reads settings from a file.")
        )
        {
            Serve(),
            IssueToken.Command(),
            UserCommands.Command(),
            AuditCommand.Command(),
            BackupCommands.Backup(),
            BackupCommands.Restore(),
            Migrate(),
        };
        foreach (var other in others) root.Add(other);
        return root;
    }

    /// <summary>What to tell the operator; null for what is no mistake of theirs, which ends with its stack.</summary>
    private static string? Sentence(Exception failure) => failure switch
    {
        StartRefused or PostgresDidNotStart or DirectoryIsHeld or MasterKeyIsAnother => failure.Message,
        SchemaIsNewer or OlderNodesRun or RestoreIsUnfinished or NodeNameIsTaken or InstallationWasRestored => failure.Message,
        OptionsValidationException wrong => string.Join(Environment.NewLine, wrong.Failures),
        TimeZoneNotFoundException => $"Codo:TimeZone: {failure.Message} It is an IANA name such as Asia/Shanghai.",
        // What the configuration binder throws for a value of the wrong type; the message names the setting.
        InvalidOperationException { InnerException: FormatException or ArgumentException } => $"{failure.Message} {failure.InnerException!.Message}",
        IOException { InnerException: Microsoft.AspNetCore.Connections.AddressInUseException } => $"ASPNETCORE_URLS: {failure.Message}",
        SocketException { SocketErrorCode: SocketError.AccessDenied or SocketError.AddressNotAvailable or SocketError.AddressFamilyNotSupported } =>
            $"ASPNETCORE_URLS: {failure.Message}",
        NpgsqlException => $"ConnectionStrings:Postgres: {DatabaseErrors.Causes(failure)}",
        SocketException when DatabaseErrors.IsAway(failure) => $"ConnectionStrings:Postgres: {failure.Message}",
        _ => null,
    };

    /// <summary>Settings that are not Codo's own and in no section: of where the host listens, how long it takes to stop, and the file of settings.</summary>
    private static readonly string[] OfTheHost =
    [
        "urls",
        "http_ports",
        "https_ports",
        "preferHostingUrls",
        "AllowedHosts",
        "config",
        "shutdownTimeoutSeconds",
    ];

    /// <summary>The arguments that are settings.</summary>
    /// <exception cref="StartRefused">One is neither a setting nor a command, nor an option of the command that was given.</exception>
    public static string[] SettingsOf(ParseResult parsed)
    {
        var tokens = parsed.UnmatchedTokens;
        for (var i = 0; i < tokens.Count; i++)
        {
            if (!tokens[i].StartsWith("--", StringComparison.Ordinal) || tokens[i].Length == 2)
                throw new StartRefused($"'{tokens[i]}' is neither a command nor a setting. --help lists the commands.");
            // A mistyped option would be passed over, and with it what was asked for: that the keys are written, how long a token is good.
            var name = tokens[i].Split('=')[0];
            if (!IsSetting(name[2..])) throw new StartRefused($"'{name}' is neither an option of this command nor a setting.");
            if (tokens[i].Contains('=', StringComparison.Ordinal))
                continue;
            if (++i == tokens.Count || tokens[i].StartsWith("--", StringComparison.Ordinal))
                throw new StartRefused($"{tokens[i - 1]} has no value. A setting is given as --Key=value.");
        }

        return [.. tokens];
    }

    // Two underscores stand for the colon in the environment alone.
    private static bool IsSetting(string name) =>
        name.Contains(':', StringComparison.Ordinal) || OfTheHost.Contains(name, StringComparer.OrdinalIgnoreCase);

    private static Command Serve()
    {
        var command = new Command("serve", "Run the host. This is what happens without a command.") { TreatUnmatchedTokensAsErrors = false };
        command.SetAction((parsed, _) => Hosting.Serve(SettingsOf(parsed)));
        return command;
    }

    private static Command Migrate()
    {
        var command = new Command("migrate", "Bring the database to this version and end.") { TreatUnmatchedTokensAsErrors = false };
        command.SetAction((parsed, _) => Hosting.Migrate(SettingsOf(parsed)));
        return command;
    }
}
