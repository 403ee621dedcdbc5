using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Codo.Host.LocalServices;
using Npgsql;

namespace Codo.Host.Backups;

/// <summary>
/// Runs <c>pg_dump</c> and <c>pg_restore</c>. They connect by the environment, so that no command line shows a password.
/// </summary>
internal static partial class PostgresTool
{
    // SET transaction_timeout, which 17 and newer send, is an error to an older server.
    private const int Stricter = 17;

    /// <summary>The program for a server: that of its version where it is installed, else the nearest that is newer.</summary>
    /// <param name="name"><c>pg_dump</c> or <c>pg_restore</c>.</param>
    /// <param name="folder">Where the binaries of the private cluster are; without it there, or null, what is installed is looked through.</param>
    /// <param name="server">The server's major version.</param>
    /// <exception cref="StartRefused">None is installed, or only a <c>pg_restore</c> that this server does not understand.</exception>
    public static async Task<string> Find(string name, string? folder, int server, string connectionString)
    {
        // A server's directory need not have the client's programs.
        if (folder is not null && Path.Combine(folder, name) is var beside && File.Exists(beside)) return beside;
        var (path, major) = (await Installed(name, server, new NpgsqlConnectionStringBuilder(connectionString)))[0];
        if (name == "pg_restore" && major >= Stricter && server < Stricter)
            throw new StartRefused(
                $"Only {name} of version {major} is installed, whose commands PostgreSQL {server} does not understand. Install its own (Debian: "
                    + $"postgresql-client-{server})."
            );
        if (name == "pg_dump" && major >= Stricter && server < Stricter)
            Console.WriteLine(
                $"It is written by {name} of version {major}, and only PostgreSQL {Stricter} or newer can take it. Install postgresql-client-{server} for one "
                    + $"that PostgreSQL {server} takes as well."
            );
        return path;
    }

    /// <param name="tool">What <see cref="Find"/> has found.</param>
    /// <param name="input">Writes its standard input; null closes it.</param>
    /// <param name="output">Reads its standard output to the end.</param>
    /// <exception cref="StartRefused">It failed: the sentence has what it said last.</exception>
    public static async Task Run(
        string tool,
        string connectionString,
        IEnumerable<string> arguments,
        Func<Stream, Task>? input,
        Func<Stream, Task> output
    )
    {
        var command = Children.Command(null, "KILL", tool, arguments);
        foreach (var (variable, value) in Environment(new NpgsqlConnectionStringBuilder(connectionString))) command.Environment[variable] = value;
        using var process = await Children.Start(command);
        var errors = process.StandardError.ReadToEndAsync();
        var writing = Feed(process, input);
        try
        {
            await output(process.StandardOutput.BaseStream);
        }
        catch
        {
            // A full disk, for example: the tool would wait for a reader for ever.
            process.Kill();
            throw;
        }
        await writing;
        await process.WaitForExitAsync();
        var said = (await errors).Trim();
        if (process.ExitCode != 0) throw new StartRefused($"{Path.GetFileName(tool)} ended with {process.ExitCode}: {Last(said)}{Hint(said)}");
    }

    private static async Task Feed(Process process, Func<Stream, Task>? input)
    {
        try
        {
            if (input is not null) await input(process.StandardInput.BaseStream);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has ended before it read everything; its exit status and its words say why.
        }
    }

    private static string Last(string said)
    {
        var lines = said.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return lines.Length == 0 ? "it said nothing" : string.Join(" | ", lines.TakeLast(4));
    }

    private static string Hint(string said) =>
        said.Contains("version mismatch", StringComparison.Ordinal) || said.Contains("unsupported version", StringComparison.Ordinal)
            ? " Install PostgreSQL's client programs of the server's version or newer (Debian: postgresql-client-NN)."
            : "";

    /// <summary>The variables by which the tools connect as Npgsql does: it takes what the string leaves open from its own environment.</summary>
    /// <param name="ours">A variable of this process.</param>
    /// <param name="authorities">Files of certificates that sign servers' own, the first that is there.</param>
    internal static IEnumerable<(string Name, string Value)> Environment(
        NpgsqlConnectionStringBuilder text,
        Func<string, string?> ours,
        IEnumerable<string> authorities
    )
    {
        var hosts = (text.Host ?? "").Split(',', StringSplitOptions.TrimEntries).Select(Split).ToList();
        yield return ("PGHOST", string.Join(',', hosts.Select(one => one.Host)));
        yield return ("PGPORT", string.Join(',', hosts.Select(one => one.Port ?? text.Port.ToString(CultureInfo.InvariantCulture))));
        var user = Or(text.Username, "PGUSER");
        // Where a server's certificate is checked Npgsql goes by what the machine trusts; the tools ask for a file. In the other modes Npgsql takes any
        // certificate, and the tools do so only where there is no such file.
        var isChecked = text.SslMode is Npgsql.SslMode.VerifyCA or Npgsql.SslMode.VerifyFull;
        var root = isChecked ? Or(text.RootCertificate, "PGSSLROOTCERT") : "/nonexistent";
        if (root.Length == 0) root = authorities.FirstOrDefault(File.Exists) ?? "";
        (string Name, string Value)[] given =
        [
            ("PGUSER", user),
            ("PGPASSWORD", Or(text.Password, "PGPASSWORD")),
            ("PGPASSFILE", Or(text.Passfile, "PGPASSFILE")),
            ("PGDATABASE", text.Database is { Length: > 0 } database ? database : user),
            ("PGSSLROOTCERT", root),
            ("PGSSLCERT", Or(text.SslCertificate, "PGSSLCERT")),
            ("PGSSLKEY", Or(text.SslKey, "PGSSLKEY")),
        ];
        foreach (var one in given.Where(pair => pair.Value.Length > 0)) yield return one;
        yield return ("PGSSLMODE", SslMode(text.SslMode));
        if (hosts.Count > 1) yield return ("PGTARGETSESSIONATTRS", "primary");
        yield return ("PGAPPNAME", "codo backup");
        yield return ("PGCONNECT_TIMEOUT", "15");

        string Or(string? set, string variable) => set is { Length: > 0 } ? set : ours(variable) ?? "";
    }

    private static IEnumerable<(string Name, string Value)> Environment(NpgsqlConnectionStringBuilder text) =>
        Environment(
            text,
            System.Environment.GetEnvironmentVariable,
            [
                // What the tools take by themselves, and Npgsql as well. Who has no home has none of this working directory's.
                Path.Combine("/", System.Environment.GetFolderPath(System.Environment.SpecialFolder.UserProfile), ".postgresql", "root.crt"),
                "/etc/ssl/certs/ca-certificates.crt",
            ]
        );

    // As Npgsql reads them: a port stands behind a host's only colon, or behind the bracket of an IPv6 address. A directory is a socket's.
    private static (string Host, string? Port) Split(string host)
    {
        if (host.StartsWith('/') || (!host.StartsWith('[') && host.Count(letter => letter == ':') > 1)) return (host, null);
        var port = Port().Match(host);
        return (host[..(port.Success ? port.Index : host.Length)].Trim('[', ']'), port.Success ? port.Value[1..] : null);
    }

    private static string SslMode(SslMode mode) =>
        mode switch
        {
            Npgsql.SslMode.Disable => "disable",
            Npgsql.SslMode.Allow => "allow",
            Npgsql.SslMode.Require => "require",
            Npgsql.SslMode.VerifyCA => "verify-ca",
            Npgsql.SslMode.VerifyFull => "verify-full",
            _ => "prefer",
        };

    /// <summary>
    /// The installed programs of a name: that of the server's version first, then the nearest that is newer. Asked with the environment of the run: what stands
    /// in Debian's PATH is a wrapper that takes another version by it.
    /// </summary>
    private static async Task<List<(string Path, int Major)>> Installed(string name, int server, NpgsqlConnectionStringBuilder text)
    {
        var debian = Directory.Exists("/usr/lib/postgresql")
            ? Directory.EnumerateDirectories("/usr/lib/postgresql").Select(version => Path.Combine(version, "bin"))
            : [];
        var folders = debian.Concat((System.Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries));
        var found = new List<(string Path, int Major)>();
        foreach (var path in folders.Select(folder => Path.Combine(folder, name)).Distinct().Where(File.Exists)) found.Add((path, await MajorOf(path, text)));
        return found.Count > 0
            ? [.. found.OrderByDescending(one => one.Major >= server).ThenBy(one => Math.Abs(one.Major - server))]
            : throw new StartRefused($"{name} is not installed. Install PostgreSQL's client programs: `apt-get install -y postgresql-client`.");
    }

    private static async Task<int> MajorOf(string path, NpgsqlConnectionStringBuilder text)
    {
        try
        {
            var command = Children.Command(null, "KILL", path, ["--version"]);
            foreach (var (variable, value) in Environment(text)) command.Environment[variable] = value;
            using var asked = await Children.Start(command);
            asked.StandardInput.Close();
            var answer = await asked.StandardOutput.ReadToEndAsync();
            await asked.WaitForExitAsync();
            return Major().Match(answer) is { Success: true } major ? int.Parse(major.Groups[1].Value, CultureInfo.InvariantCulture) : 0;
        }
        catch (Win32Exception)
        {
            return 0;
        }
    }

    [GeneratedRegex(@":\d+$")]
    private static partial Regex Port();

    [GeneratedRegex(@"\(PostgreSQL\) (\d+)")]
    private static partial Regex Major();
}
