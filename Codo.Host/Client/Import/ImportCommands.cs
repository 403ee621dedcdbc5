using System.CommandLine;

namespace Codo.Host.Client.Import;

/// <summary><c>codo import …</c>: jobs of other programs.</summary>
internal static partial class ImportCommands
{
    public static Command Command(ClientContext context) =>
        new("import", "Move in from another program. Nothing is changed without --apply, and an import can be repeated.") {
            FromCrontab(context),
            FromCodoCron(context),
            FromCodoTask(context),
            FromXxlJob(context),
            FromRundeck(context),
        };

    private static Option<bool> Apply() => new("--apply") { Description = "Make the jobs; those that are there are changed where they differ." };

    private static Option<string?> Zone() =>
        new("--time-zone") { Description = "The zone that it ran in there; default this machine's.", HelpName = "ZONE" };

    private static Command FromCrontab(ClientContext context)
    {
        var files = new Argument<string[]>("FILE")
        {
            Description = "Crontabs, directories of them such as /etc/cron.d, or - for standard input.",
            Arity = ArgumentArity.OneOrMore,
        };
        var system = new Option<bool>("--system") { Description = "Lines have a column with the user; known of /etc/crontab and /etc/cron.d." };
        var user = new Option<string?>("--user") { Description = "Whose crontab it is; known of files in /var/spool/cron.", HelpName = "NAME" };
        var expand = new Option<bool>("--expand-run-parts")
        {
            Description = "A job for each script that run-parts would run, where the directory is on this machine.",
        };
        var (zone, apply, format) = (Zone(), Apply(), Printer.Format());
        return new Command("crontab", "Jobs of crontabs.") { files, system, user, expand, zone, apply, format }.Calls(
            context,
            async (server, parsed, cancellation) =>
            {
                var items = new List<ImportItem>();
                foreach (var file in Files(parsed.GetRequiredValue(files)))
                {
                    var form = new CrontabForm(
                        parsed.GetValue(system) || IsSystem(file),
                        parsed.GetValue(user) ?? OwnerOf(file),
                        ZoneOf(parsed.GetValue(zone)),
                        parsed.GetValue(expand)
                    );
                    // Its commands would run as somebody else than cron runs them as, and under the right user be other jobs.
                    if (!form.IsSystem && form.User is null)
                        throw new ClientFailure(
                            $"{file}: whose crontab it is cannot be told. Say --user NAME, or --system where its lines have a column with the user.",
                            ExitCodes.Usage
                        );
                    var text = await Text(context, file, cancellation);
                    items.AddRange(Crontab.Read(file, text, form));
                }
                // Over all files: a command that stands in two of them is two jobs.
                Crontab.Distinct(items);
                return await new ImportPlan(context, server, "cron", items) { SecondJobName = Crontab.SecondJobName }.Run(
                    parsed.GetValue(apply),
                    parsed.GetValue(format)
                );
            }
        );
    }

    private static Command FromCodoCron(ClientContext context)
    {
        var address = new Argument<string>("URL") { Description = "The old codo-cron, or the gateway before it." };
        var zone = Zone();
        zone.Description = "The zone that it runs in; default Asia/Shanghai.";
        var (apply, format) = (Apply(), Printer.Format());
        return new Command(
            "codo-cron",
            "Jobs of codo-cron, by its API; weekday numbers are translated. Its token comes from CODO_SOURCE_TOKEN."
        ) { address, zone, apply, format }.Calls(
            context,
            async (server, parsed, _) =>
            {
                using var source = Source(context, parsed.GetRequiredValue(address));
                var (jobs, _) = await source.List("/v1/cron/job/", int.MaxValue);
                var items = CodoCronJobs.Read(jobs, ZoneOf(parsed.GetValue(zone) ?? "Asia/Shanghai"));
                return await new ImportPlan(context, server, "codo-cron", items).Run(parsed.GetValue(apply), parsed.GetValue(format));
            }
        );
    }

    private static Command FromCodoTask(ClientContext context)
    {
        var address = new Argument<string>("URL") { Description = "The old codo-task, or the gateway before it." };
        var keys = new Option<bool>("--with-keys") { Description = "Execute-users with the private keys that the old one gives." };
        var (apply, format) = (Apply(), Printer.Format());
        const string About = "Library, templates and execute-users of codo-task, by its API. Its token comes from CODO_SOURCE_TOKEN.";
        return new Command("codo-task", About) { address, keys, apply, format }.Calls(
            context,
            async (server, parsed, _) =>
            {
                using var source = Source(context, parsed.GetRequiredValue(address));
                var library = new CodoTaskLibrary(context, source, server, parsed.GetValue(keys));
                return await library.Run(parsed.GetValue(apply), parsed.GetValue(format));
            }
        );
    }

    private static Command FromRundeck(ClientContext context)
    {
        var file = new Argument<string>("FILE") { Description = "Jobs as Rundeck exports them (rd jobs list -f FILE), YAML or XML, or - for standard input." };
        var (zone, apply, format) = (Zone(), Apply(), Printer.Format());
        return new Command("rundeck", "Jobs of Rundeck that have a schedule.") { file, zone, apply, format }.Calls(
            context,
            async (server, parsed, cancellation) =>
            {
                var name = parsed.GetRequiredValue(file);
                var items = RundeckJobs.Read(name, await Text(context, name, cancellation), ZoneOf(parsed.GetValue(zone)));
                return await new ImportPlan(context, server, "rundeck", items).Run(parsed.GetValue(apply), parsed.GetValue(format));
            }
        );
    }

    private static Command FromXxlJob(ClientContext context)
    {
        var file = new Argument<string>("FILE") { Description = "A dump of its database (mysqldump xxl_job xxl_job_info), or - for standard input." };
        var (zone, apply, format) = (Zone(), Apply(), Printer.Format());
        return new Command("xxl-job", "Jobs of xxl-job with scripts; those that are bound to code are listed.") { file, zone, apply, format }.Calls(
            context,
            async (server, parsed, cancellation) =>
            {
                var items = XxlJobs.Read(await Text(context, parsed.GetRequiredValue(file), cancellation), ZoneOf(parsed.GetValue(zone)));
                return await new ImportPlan(context, server, "xxl-job", items).Run(parsed.GetValue(apply), parsed.GetValue(format));
            }
        );
    }

    /// <summary>A codo-cron or codo-task, with its own token.</summary>
    private static CodoServer Source(ClientContext context, string address)
    {
        var token = context.Variable(SourceToken) ?? context.AskSecret("Token of the old one: ").Trim();
        return new CodoServer(context, Logins.Address(address), token, isOriginal: true);
    }

    private const string SourceToken = "CODO_SOURCE_TOKEN";

    private static async Task<string> Text(ClientContext context, string file, CancellationToken cancellation) =>
        file == "-" ? await context.Input.ReadToEndAsync(cancellation) : await InputFile.Read(file, cancellation);

    /// <summary>The zone of that name, or this machine's.</summary>
    /// <exception cref="ClientFailure">There is no such zone, or this machine's has no name.</exception>
    public static TimeZoneInfo ZoneOf(string? name)
    {
        if (name is null && !TimeZoneInfo.Local.HasIanaId) throw new ClientFailure(
            "This machine's time zone has no name: name it with --time-zone.",
            ExitCodes.Usage
        );
        return name is null ? TimeZoneInfo.Local
            : TimeZoneInfo.TryFindSystemTimeZoneById(name, out var zone) ? zone
            : throw new ClientFailure($"{name} is no time zone, such as Asia/Shanghai.", ExitCodes.Usage);
    }

    // cron(8) reads no file of /etc/cron.d that has a dot in its name.
    private static IEnumerable<string> Files(string[] named) =>
        named.SelectMany(name =>
            Directory.Exists(name)
                ? Directory.GetFiles(name).Where(file => !Path.GetFileName(file).Contains('.', StringComparison.Ordinal)).Order(StringComparer.Ordinal)
                : (IEnumerable<string>)[name]
        );

    private static bool IsSystem(string file) => Path.GetFullPath(file) is "/etc/crontab" || Path.GetDirectoryName(Path.GetFullPath(file)) is "/etc/cron.d";

    private static string? OwnerOf(string file) =>
        Path.GetDirectoryName(Path.GetFullPath(file)) is "/var/spool/cron/crontabs" or "/var/spool/cron" ? Path.GetFileName(file) : null;
}
