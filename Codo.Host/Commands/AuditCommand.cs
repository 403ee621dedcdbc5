using System.CommandLine;
using System.Globalization;
using Codo.Host.LocalServices;
using Codo.Platform.Security;
using Npgsql;

namespace Codo.Host.Commands;

/// <summary><c>codo audit verify</c>: whether the audit still says what it said when each of its days was sealed.</summary>
internal static class AuditCommand
{
    private const int Broken = 1;

    public static Command Command()
    {
        var seal = new Option<string?>("--seal")
        {
            Description = "A seal that this command, or the host's log, has told before: whether the audit still has it.",
            HelpName = "DAY=SEAL",
        };
        seal.Validators.Add(given =>
        {
            if (given.Tokens is [var text] && NotedSeal.Read(text.Value) is null) given.AddError("--seal is DAY=SEAL, as `codo audit verify` prints it.");
        });
        var verify = new Command("verify", "Check the seals of the audit and name the first day that does not hold.") { seal };
        verify.TreatUnmatchedTokensAsErrors = false;
        verify.SetAction(
            async (parsed, _) =>
            {
                var settings = CommandLine.SettingsOf(parsed);
                var noted = parsed.GetValue(seal) is { } text ? NotedSeal.Read(text) : null;
                var code = 0;
                await UserCommands.With(settings, async source => code = await Verify(source, settings, noted));
                return code;
            }
        );
        return new Command("audit", "The audit.") { verify };
    }

    private static async Task<int> Verify(NpgsqlDataSource source, string[] settings, NotedSeal? noted)
    {
        var configuration = SettingSources.Add(new ConfigurationBuilder(), settings).Build();
        return Say(await Seals(source, configuration, noted), Console.Out);
    }

    private static async Task<AuditVerdict> Seals(NpgsqlDataSource source, IConfigurationRoot configuration, NotedSeal? noted)
    {
        var key = GeneratedSecrets.Resolve(configuration, GeneratedSecrets.MasterKey, DataDirectory.Locate(configuration));
        configuration[GeneratedSecrets.MasterKey] = key;
        var seals = new AuditSeals(source, Composition.Secrets(configuration));
        return await seals.Verify(await seals.Now(), noted);
    }

    /// <summary>Writes what was found; answers the exit code.</summary>
    internal static int Say(AuditVerdict verdict, TextWriter output)
    {
        if (verdict is { Days: 0, Broken: null })
        {
            output.WriteLine("No day of the audit is sealed yet: a day is sealed 25 hours after its end (UTC).");
            return 0;
        }

        var dropped = verdict.Dropped == 0 ? "" : $", of which the rows of {verdict.Dropped} were dropped by retention";
        if (verdict.Broken is not { } day)
        {
            output.WriteLine($"The audit holds: {verdict.Days} days up to {Day(verdict.Last)}{dropped}, {verdict.Rows} rows compared.");
            if (verdict.Last is { } newest)
                output.WriteLine($"Keep the newest seal elsewhere, for --seal of a later check: {new NotedSeal(newest, verdict.LastSeal)}");
            return 0;
        }

        output.WriteLine($"The audit does NOT hold from {Day(day)} on: {verdict.Why}.");
        output.WriteLine(verdict.Last is { } last ? $"The last day that holds is {Day(last)}." : "No day before it is sealed.");
        return Broken;
    }

    private static string Day(DateTime? day) => day?.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture) ?? "";
}
