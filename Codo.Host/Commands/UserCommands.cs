using System.CommandLine;
using System.Globalization;
using System.Text;
using Codo.Host.Accounts;
using Codo.Host.LocalServices;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Host.Commands;

/// <summary>
/// The accounts of this installation, from the command line: beside a running host, whose nodes know within a second, or without one. Passwords come from the
/// terminal or from standard input, never as an argument, which every user of the machine could read.
/// </summary>
internal static class UserCommands
{
    private const string ListSql = """
        SELECT p.user_id, p.username, p.kind, p.is_superuser, p.disabled, coalesce(a.otp_on, false) AS otp_on, p.last_seen
        FROM accounts.person p LEFT JOIN accounts.own_account a USING (user_id) WHERE p.managed ORDER BY lower(p.username), p.user_id
        """;

    private const string FindSql = """
        SELECT user_id FROM accounts.own_account WHERE name = lower(@Name)
        UNION ALL SELECT user_id FROM accounts.person WHERE user_id = CAST(@Id AS bigint) LIMIT 1
        """;

    private const string CalledSql = """
        SELECT user_id FROM accounts.person WHERE lower(username) = lower(@Name) ORDER BY user_id
        """;

    // Not in a log: whoever may run this has the database.
    private static readonly Caller Administrator = Caller.Codo with { Username = "codo user", Nickname = Environment.UserName };

    public static Command Command()
    {
        var name = new Argument<string>("NAME") { Description = "The name that is typed at sign-in." };
        var superuser = new Option<bool>("--superuser") { Description = "May do everything." };
        var nickname = new Option<string>("--nickname") { Description = "How others see the name.", DefaultValueFactory = _ => "" };
        var email = new Option<string>("--email") { Description = "The address.", DefaultValueFactory = _ => "" };
        return new Command("user", "The accounts that sign in here with a password. A password is typed, or is the first line of standard input.")
        {
            Of(
                new Command("add", "Add an account.") { name, superuser, nickname, email },
                (source, parsed) =>
                    Add(
                        source,
                        parsed.GetRequiredValue(name),
                        parsed.GetValue(superuser),
                        parsed.GetValue(nickname) ?? "",
                        parsed.GetValue(email) ?? ""
                    )
            ),
            Of(
                new Command("passwd", "Give an account another password; its sign-ins end.") { name },
                (source, parsed) => SetPassword(source, parsed.GetRequiredValue(name))
            ),
            Of(
                new Command("disable", "Refuse a person (a name of `codo user list`, or any id) with any token.") { name },
                (source, parsed) => Disable(source, parsed.GetRequiredValue(name), true)
            ),
            Of(new Command("enable", "Let the person in again.") { name }, (source, parsed) => Disable(source, parsed.GetRequiredValue(name), false)),
            Of(
                new Command("otp-off", "Take the second factor from an account whose authenticator is lost.") { name },
                (source, parsed) => DropCodes(source, parsed.GetRequiredValue(name))
            ),
            Of(new Command("list", "List the accounts, and who came by OpenID Connect."), (source, _) => List(source), writes: false),
        };
    }

    private static Command Of(Command command, Func<NpgsqlDataSource, ParseResult, Task> run, bool writes = true)
    {
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction(
            (parsed, _) => With(CommandLine.SettingsOf(parsed), source => writes ? Audited(source, () => run(source, parsed)) : run(source, parsed))
        );
        return command;
    }

    // Before the first row of the audit: without a host for months its partition is missing, and the row would keep it from being made.
    internal static async Task Audited(NpgsqlDataSource source, Func<Task> run)
    {
        await AuditMonth.Make(source, Console.Error.WriteLine);
        await run();
    }

    /// <summary>Runs something on the installation's database. A private PostgreSQL runs while its host does; otherwise it is started for this.</summary>
    internal static async Task<int> With(string[] settings, Func<NpgsqlDataSource, Task> run)
    {
        var configuration = SettingSources.Add(new ConfigurationBuilder(), settings).Build();
        var external = configuration.GetConnectionString("Postgres");
        var directory = DataDirectory.Locate(configuration);
        if (string.IsNullOrEmpty(external) && !DataDirectory.IsHeld(directory))
            return await Hosting.With(settings, services => run(services.GetRequiredService<NpgsqlDataSource>()));
        var address = string.IsNullOrEmpty(external) ? EmbeddedPostgres.OfRunningHost(directory) : external;
        await using var services = new ServiceCollection().AddPostgres(address).BuildServiceProvider();
        try
        {
            await run(services.GetRequiredService<NpgsqlDataSource>());
        }
        catch (PostgresException failure) when (failure.SqlState == PostgresErrorCodes.UndefinedTable)
        {
            throw new StartRefused("The database is older than this program: start this version of Codo, or run `codo migrate`, first.");
        }
        catch (PostgresException failure) when (failure.SqlState == PostgresErrorCodes.InvalidAuthorizationSpecification && string.IsNullOrEmpty(external))
        {
            throw new StartRefused($"The database of {directory} lets in the user that Codo runs as, and not {Environment.UserName}: run this as that user.");
        }

        return 0;
    }

    private static async Task Add(NpgsqlDataSource source, string name, bool isSuperuser, string nickname, string email)
    {
        if (OwnAccount.WrongName(name) is { } wrong) throw new StartRefused($"{wrong.En}.");
        var hash = NewHash(name);
        await using var connection = await source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        if (!await OwnAccount.Add(connection, transaction, Administrator, name, hash, isSuperuser, nickname.Trim(), email.Trim()))
            throw new StartRefused($"There is an account {name} already. `codo user passwd {name}` gives it another password.");
        await transaction.CommitAsync();
        Console.WriteLine($"Added {name} ({IssueToken.UserId(name).ToString(CultureInfo.InvariantCulture)}).");
    }

    private static async Task SetPassword(NpgsqlDataSource source, string name)
    {
        await using var connection = await source.OpenConnectionAsync();
        var account = await OwnAccount.Find(connection, name) ?? throw Nobody(name);
        var hash = NewHash(account.Username);
        await using var transaction = await connection.BeginTransactionAsync();
        await OwnAccount.SetPassword(connection, transaction, Administrator, account.UserId, hash, before: null);
        await transaction.CommitAsync();
        Console.WriteLine($"{account.Username} has a new password; all sign-ins of before have ended.");
    }

    private static async Task Disable(NpgsqlDataSource source, string name, bool disabled)
    {
        await using var connection = await source.OpenConnectionAsync();
        var person = await Find(connection, name);
        await using var transaction = await connection.BeginTransactionAsync();
        var changed = await DisablePerson.Handler.Change(connection, transaction, Administrator, person, disabled, "codo user");
        await transaction.CommitAsync();
        Console.WriteLine($"{name} {(changed ? "is" : "was")} {(disabled ? "disabled" : "enabled")}{(changed ? "" : " already")}.");
    }

    // The account of that name, else the id, else whoever came from elsewhere and is called so: an account's name is nobody else's.
    private static async Task<long> Find(NpgsqlConnection connection, string name)
    {
        var id = long.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : (long?)null;
        if (await connection.QuerySingleOrDefaultAsync<long?>(FindSql, new { Name = name, Id = id }) is { } found) return found;
        var called = (await connection.QueryAsync<long>(CalledSql, new { Name = name })).AsList();
        return called.Count switch
        {
            0 => throw Nobody(name),
            1 => called[0],
            _ => throw new StartRefused($"Several people are called {name}: {string.Join(", ", called)}; give the id."),
        };
    }

    private static async Task DropCodes(NpgsqlDataSource source, string name)
    {
        await using var connection = await source.OpenConnectionAsync();
        var account = await OwnAccount.Find(connection, name) ?? throw Nobody(name);
        await using var transaction = await connection.BeginTransactionAsync();
        var dropped = await DropOtp.Handler.Drop(connection, transaction, Administrator, account.UserId);
        await transaction.CommitAsync();
        Console.WriteLine(dropped ? $"{account.Username} needs no one-time code any more." : $"{account.Username} has no one-time codes.");
    }

    private static async Task List(NpgsqlDataSource source)
    {
        await using var connection = await source.OpenConnectionAsync();
        Console.WriteLine($"{"ID",-15} {"NAME",-24} {"KIND",-6} {"SUPERUSER",-10} {"CODES",-6} {"DISABLED",-9} LAST SEEN (UTC)");
        foreach (var row in await connection.QueryAsync<Row>(ListSql))
            Console.WriteLine(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{row.UserId,-15} {row.Username,-24} {row.Kind,-6} {Yes(row.IsSuperuser),-10} {Yes(row.OtpOn),-6} {Yes(row.Disabled),-9} {row.LastSeen:u}"
                )
            );
    }

    private static string Yes(bool isSo) => isSo ? "yes" : "";

    private static StartRefused Nobody(string name) => new($"There is no account {name}. `codo user list` names those that there are.");

    private static string NewHash(string name)
    {
        var password = Console.IsInputRedirected ? Console.In.ReadLine() ?? "" : Typed();
        if (Passwords.Wrong(name, password) is { } wrong) throw new StartRefused($"{wrong.En}.");
        using var passwords = new Passwords();
        return passwords.Hash(password);
    }

    private static string Typed()
    {
        var first = Typed("Password: ");
        return first == Typed("Again: ") ? first : throw new StartRefused("The two passwords differ.");
    }

    private static string Typed(string prompt)
    {
        Console.Write(prompt);
        var typed = new StringBuilder();
        while (Console.ReadKey(intercept: true) is var key && key.Key != ConsoleKey.Enter)
        {
            if (key.Key == ConsoleKey.Backspace) typed.Length = Math.Max(0, typed.Length - 1);
            else if (key.KeyChar != '\0') typed.Append(key.KeyChar);
        }

        Console.WriteLine();
        return typed.ToString();
    }

    private sealed record Row(long UserId, string Username, string Kind, bool IsSuperuser, bool Disabled, bool OtpOn, DateTime? LastSeen);
}
