using System.CommandLine;
using Codo.Host.Client.Files;
using Codo.Host.Client.Import;

namespace Codo.Host.Client;

/// <summary>
/// The commands of <c>codo</c> that talk to a server over its API. They run before anything of the host is loaded: what they need is an HTTP client, and the
/// answer of a command should not wait for ASP.NET.
/// </summary>
internal static class ClientProgram
{
    // Lambdas, so that a command compiles its own builder and no other.
    private static readonly Dictionary<string, Func<ClientContext, Command>> Nouns = new(StringComparer.Ordinal)
    {
        ["login"] = context => LoginCommands.Login(context),
        ["logout"] = context => LoginCommands.Logout(context),
        ["job"] = context => JobCommands.Command(context),
        ["order"] = context => OrderCommands.Command(context),
        ["incident"] = context => IncidentCommands.Command(context),
        ["search"] = context => SearchCommand.Command(context),
        ["node"] = context => NodeCommands.Command(context),
        ["release"] = context => ReleaseCommand.Command(context),
        ["why"] = context => WhyCommand.Command(context),
        ["export"] = context => FileCommands.Export(context),
        ["diff"] = context => FileCommands.Diff(context),
        ["apply"] = context => FileCommands.Apply(context),
        ["import"] = context => ImportCommands.Command(context),
        ["completion"] = context => CompletionCommand.Command(context),
        ["help"] = context => HelpCommand.Command(context, () => Whole(context)),
    };

    /// <summary>What a shell's completion asks.</summary>
    private const string Complete = "__complete";

    /// <summary>Whether the command line is the client's.</summary>
    public static bool Takes(string[] arguments) => arguments is [var first, ..] && (first == Complete || Nouns.ContainsKey(first));

    /// <summary>Every command of the client, for help and completion.</summary>
    public static IEnumerable<Command> All(ClientContext context) => Nouns.Values.Select(build => build(context));

    // The commands of the installation among them: this loads the host.
    private static RootCommand Whole(ClientContext context) => Commands.CommandLine.Root(All(context));

    /// <summary>Runs a command in this process's terminal.</summary>
    public static async Task<int> Run(string[] arguments)
    {
        var context = ClientContext.OfProcess();
        var code = await Run(arguments, context);
        try
        {
            await context.Output.FlushAsync();
        }
        catch (ClientFailure failure)
        {
            await Tell(context, failure.Message);
            if (code == ExitCodes.Done) code = failure.ExitCode;
        }
        catch (IOException)
        {
            // The terminal has gone.
        }
        return code;
    }

    /// <summary>Runs a command; answers the exit code.</summary>
    public static async Task<int> Run(string[] arguments, ClientContext context)
    {
        if (arguments[0] == Complete)
        {
            // One command of the client needs no other, and nothing of the host.
            var asked = arguments is [_, var noun, _, ..] && Nouns.TryGetValue(noun, out var build) ? new RootCommand { build(context) } : Whole(context);
            return await CompletionCommand.Complete(arguments[1..], asked, context);
        }

        var root = new RootCommand("Codo from a terminal.") { Nouns[arguments[0]](context) };
        try
        {
            // No response files: a value may begin with @.
            var parsed = root.Parse([RootCommand.ExecutableName, .. arguments], new ParserConfiguration { ResponseFileTokenReplacer = null });
            if (parsed.Errors.Count > 0)
            {
                // A word that is not known says more than that one is missing.
                var unknown = parsed.UnmatchedTokens is [var word, ..] ? $"'{TerminalText.OneLine(word)}' is not known." : parsed.Errors[0].Message;
                throw new ClientFailure($"{unknown} See {Name(parsed)} --help.", ExitCodes.Usage);
            }

            return await parsed.InvokeAsync(
                new InvocationConfiguration { Output = context.Output, Error = context.Error, EnableDefaultExceptionHandler = false }
            );
        }
        catch (ClientFailure failure)
        {
            await Tell(context, failure.Message);
            return failure.ExitCode;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // A file of this machine: it may not be read, or there is no room for it.
            await Tell(context, TerminalText.OneLine(failure.Message));
            return ExitCodes.Failed;
        }
        catch (OperationCanceledException)
        {
            return ExitCodes.Interrupted;
        }
    }

    private static Task Tell(ClientContext context, string sentence) => sentence.Length > 0 ? context.Error.WriteLineAsync(sentence) : Task.CompletedTask;

    private static string Name(ParseResult parsed)
    {
        var names = new List<string>();
        for (System.CommandLine.Parsing.SymbolResult? at = parsed.CommandResult; at is System.CommandLine.Parsing.CommandResult command; at = at.Parent)
            if (command.Command is not RootCommand) names.Insert(0, command.Command.Name);
        return string.Join(' ', names.Prepend("codo"));
    }
}

/// <summary>What commands of the client have in common.</summary>
internal static class ClientOptions
{
    /// <summary>A command that talks to the server: it has <c>--server</c>, and its server is closed when it ends.</summary>
    public static Command Calls(this Command command, ClientContext context, Func<CodoServer, ParseResult, CancellationToken, Task<int>> run)
    {
        var server = new Option<string?>("--server")
        {
            Description = $"The server in place of {Logins.UrlVariable} and of the last sign-in.",
            HelpName = "URL",
        };
        command.Add(server);
        command.SetAction(
            async (parsed, cancellation) =>
            {
                using var connection = Logins.Connect(context, parsed.GetValue(server));
                return await run(connection, parsed, cancellation);
            }
        );
        return command;
    }

    /// <summary>The same for a command that ends well unless it throws.</summary>
    public static Command Calls(this Command command, ClientContext context, Func<CodoServer, ParseResult, Task> run) =>
        command.Calls(
            context,
            async (server, parsed, _) =>
            {
                await run(server, parsed);
                return ExitCodes.Done;
            }
        );

    /// <summary>Does it for each, also after a refusal, which goes to standard error with what it is of.</summary>
    /// <param name="sentence">Does it for one, and says that it is done.</param>
    /// <returns>The exit code: 1 where one was refused.</returns>
    public static async Task<int> Each<T>(this ClientContext context, IEnumerable<T> all, Func<T, Task<string>> sentence)
    {
        var code = ExitCodes.Done;
        foreach (var one in all)
        {
            try
            {
                context.Output.WriteLine(await sentence(one));
            }
            catch (CodoServer.Refused refused)
            {
                context.Error.WriteLine($"{one}: {refused.Message}");
                code = ExitCodes.Failed;
            }
        }
        return code;
    }

    /// <summary><c>-L</c>, as gh has it.</summary>
    public static Option<int> Limit(int most = 100)
    {
        var limit = new Option<int>("--limit", "-L") { Description = "Rows at most.", DefaultValueFactory = _ => most, HelpName = "N" };
        limit.Validators.Add(given =>
        {
            if (given.Tokens is [var text] && (!int.TryParse(text.Value, out var number) || number < 1)) given.AddError("--limit is a number from 1.");
        });
        return limit;
    }

    /// <summary>Tells that there are more rows than were shown.</summary>
    public static void TellRest(ClientContext context, int shown, long count, string what)
    {
        if (count > shown) context.Error.WriteLine($"{shown} of {count} {what} are shown: --limit shows more.");
    }
}
