using System.CommandLine;
using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary><c>codo login</c> and <c>codo logout</c>.</summary>
internal static class LoginCommands
{
    private const int NeedsCode = -3, NeedsSetUp = -4, DefaultDays = 90, MostTries = 3;

    private static readonly string[] AllScopes = ["see", "run", "edit", "approve", "admin"];

    public static Command Login(ClientContext context)
    {
        var address = new Argument<string?>("URL") { Description = "The server, such as https://codo.example.com.", Arity = ArgumentArity.ZeroOrOne };
        var user = new Option<string?>("--username", "-u") { Description = "The name, for a sign-in with a password in the terminal.", HelpName = "NAME" };
        var noBrowser = new Option<bool>("--no-browser") { Description = "Ask for name and password in the terminal also where there is a browser." };
        var token = new Option<bool>("--token") { Description = "Take a token from standard input, or ask for it, in place of a password." };
        var days = new Option<int>("--days")
        {
            Description = "How long the token is good, 1 to 366 days.",
            DefaultValueFactory = _ => DefaultDays,
            HelpName = "N",
        };
        var scopes = new Option<string[]>("--scopes")
        {
            Description = "What the token may do of what you may: see, run, edit, approve, admin. Default all.",
            HelpName = "VERBS",
            AllowMultipleArgumentsPerToken = true,
        };
        var command = new Command("login", "Sign in to a server. A token of its own is kept in ~/.config/codo (mode 600), never the password.")
        {
            address,
            user,
            token,
            noBrowser,
            days,
            scopes,
        };
        command.SetAction(
            async (parsed, cancellation) =>
            {
                var server = Logins.Normal(
                    parsed.GetValue(address) ?? context.Variable(Logins.UrlVariable) ?? Logins.Read(context).Current ?? context.Ask("URL of the server: ")
                );
                var uri = new Uri(server);
                if (uri.Scheme == "http" && !uri.IsLoopback) context.Warn($"{server} is not encrypted: whoever listens on the way reads what is sent.");
                var words = (parsed.GetValue(scopes) ?? []).SelectMany(word => word.Split(',')).ToArray();
                if (words.Length == 0) words = AllScopes;
                var asks = parsed.GetValue(user) is not null || parsed.GetValue(noBrowser) || !context.CanAsk;
                var login = parsed.GetValue(token)
                    ? await Given(context, server)
                    : !asks && BrowserSignIn.Command(context) is { } browser
                        ? await BrowserSignIn.Run(context, server, browser, parsed.GetValue(days), words, cancellation)
                        : await SignIn(context, server, parsed.GetValue(user), parsed.GetValue(days), words);
                var logins = Logins.Read(context);
                var before = logins.Find(server);
                logins.Keep(login);
                if (before?.TokenId is not null) await End(context, before);
                context.Output.WriteLine($"Signed in to {server} as {login.Username}.");
                return ExitCodes.Done;
            }
        );
        return command;
    }

    public static Command Logout(ClientContext context)
    {
        var address = new Argument<string?>("URL") { Description = "The server; default the one of the last sign-in.", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("logout", "End the token of a sign-in and forget it.") { address };
        command.SetAction(
            async (parsed, _) =>
            {
                var logins = Logins.Read(context);
                var server = parsed.GetValue(address) is { } named ? Logins.Normal(named) : logins.Current;
                var login = server is null ? null : logins.Find(server);
                if (login is null) throw new ClientFailure(server is null ? "Not signed in." : $"Not signed in to {server}.", ExitCodes.NotSignedIn);
                // A token that was given may be in use elsewhere: it is forgotten here and stays good.
                var hasEnded = login.TokenId is null || await End(context, login);
                logins.Forget(login.Address);
                context.Output.WriteLine(
                    login.TokenId is null ? $"Forgot the token for {login.Address}; it is still good."
                    : hasEnded ? $"Signed out of {login.Address}."
                    : $"Forgot the token for {login.Address}, which could not be ended there."
                );
                return ExitCodes.Done;
            }
        );
        return command;
    }

    private static async Task<Login> Given(ClientContext context, string server)
    {
        var token = context.AskSecret("Token: ").Trim();
        if (token.Length == 0) throw new ClientFailure("No token was given: it is the first line of standard input.", ExitCodes.Usage);
        using var http = new CodoServer(context, new Uri(server), token);
        var person = (await http.Get("/v2/accounts/me/"))["data"];
        return new Login(server, person.Text("username"), token, null);
    }

    private static async Task<Login> SignIn(ClientContext context, string server, string? user, int days, string[] scopes)
    {
        user ??= context.Ask("Username: ");
        using var stranger = new CodoServer(context, new Uri(server), null);
        var session = await Session(context, stranger, user, context.AskSecret("Password: "));
        using var http = new CodoServer(context, new Uri(server), session.Text("auth_key"));
        try
        {
            var made = await http.Post(
                "/v2/accounts/token/",
                new JsonObject
                {
                    ["name"] = $"codo on {Environment.MachineName}",
                    ["scopes"] = new JsonArray([.. scopes.Select(scope => JsonValue.Create(scope))]),
                    ["days"] = days,
                }
            );
            return new Login(server, session["data"].Text("username"), made.Text("token"), made.Number("token_id"));
        }
        finally
        {
            // The session has done its work; the token is what stays.
            await http.Post("/v2/accounts/logout/", []);
        }
    }

    private static async Task<JsonObject> Session(ClientContext context, CodoServer server, string user, string password)
    {
        var code = "";
        for (var tries = 0; ; tries++)
        {
            try
            {
                return await server.Ask(
                    HttpMethod.Post,
                    "/v2/accounts/login/",
                    new JsonObject { ["username"] = user, ["password"] = password, ["otp"] = code.Length == 0 ? null : code }
                );
            }
            catch (CodoServer.Refused refused) when (refused.Answer.Number("code") is NeedsCode or NeedsSetUp && tries < MostTries)
            {
                if (code.Length > 0 || refused.Answer.Number("code") == NeedsSetUp) context.Error.WriteLine(refused.Message);
                if (refused.Answer.Text("otp_key") is { Length: > 0 } key) context.Error.WriteLine($"Key: {key}\n{refused.Answer.Text("otp_uri")}");
                code = context.Ask("One-time code: ");
                if (code.Length == 0) throw new ClientFailure(refused.Message);
            }
            catch (CodoServer.Refused refused)
            {
                throw new ClientFailure(refused.Message);
            }
        }
    }

    private static async Task<bool> End(ClientContext context, Login login)
    {
        using var server = new CodoServer(context, new Uri(login.Address), login.Token);
        try
        {
            await server.Delete("/v2/accounts/token/", new JsonObject { ["token_id"] = login.TokenId });
            return true;
        }
        catch (ClientFailure)
        {
            // It has run out or was ended; or the server is away.
            return false;
        }
    }
}
