using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Codo.Host.LocalServices;

/// <summary>One installation of PostgreSQL's server: where its programs are and its major version.</summary>
internal sealed partial record PostgresBinaries(string Directory, int Major)
{
    public string Postgres => Path.Combine(Directory, "postgres");

    public string Initdb => Path.Combine(Directory, "initdb");

    /// <summary>The newest installation, for a new cluster.</summary>
    /// <exception cref="StartRefused">None is installed; the sentence names the command that installs one.</exception>
    public static PostgresBinaries Newest(string? searchPath = null) =>
        Installed(searchPath).MaxBy(binaries => binaries.Major)
        ?? throw new StartRefused(
            ($"PostgreSQL's server is not installed. Install it with `{Sudo}apt-get install -y postgresql`, or set ConnectionStrings__Postgres to a server "
                + $"that is there.")
        );

    /// <summary>The installation that can open the cluster in <paramref name="cluster"/>: PostgreSQL reads only the files of its own major version.</summary>
    /// <exception cref="StartRefused">That version is not installed.</exception>
    public static PostgresBinaries Of(string cluster, string? searchPath = null)
    {
        var version = File.ReadAllText(Path.Combine(cluster, "PG_VERSION")).Trim();
        return Installed(searchPath).FirstOrDefault(binaries => binaries.Major.ToString(CultureInfo.InvariantCulture) == version)
            ?? throw new StartRefused(
                ($"The cluster in {cluster} was made by PostgreSQL {version}, which is not installed. Install it with `{Sudo}apt-get install -y "
                    + $"postgresql-{version}`.")
            );
    }

    private static string Sudo => Environment.IsPrivilegedProcess ? "" : "sudo ";

    private static IEnumerable<PostgresBinaries> Installed(string? searchPath)
    {
        var fromDebian = searchPath is null && System.IO.Directory.Exists("/usr/lib/postgresql")
            ? System.IO.Directory.EnumerateDirectories("/usr/lib/postgresql").Select(version => Path.Combine(version, "bin"))
            : [];
        var fromPath = (searchPath ?? Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        return fromPath.Concat(fromDebian).Distinct().Select(Read).OfType<PostgresBinaries>();
    }

    private static PostgresBinaries? Read(string directory)
    {
        // The client's package has a bin directory as well, without these two.
        var postgres = Path.Combine(directory, "postgres");
        if (!File.Exists(postgres) || !File.Exists(Path.Combine(directory, "initdb")))
            return null;

        using var asked = Process.Start(new ProcessStartInfo(postgres, "--version") { RedirectStandardOutput = true })!;
        var answer = asked.StandardOutput.ReadToEnd();
        asked.WaitForExit();
        var major = MajorVersion().Match(answer);
        return major.Success ? new PostgresBinaries(directory, int.Parse(major.Groups[1].Value, CultureInfo.InvariantCulture)) : null;
    }

    [GeneratedRegex(@"\(PostgreSQL\) (\d+)")]
    private static partial Regex MajorVersion();
}
