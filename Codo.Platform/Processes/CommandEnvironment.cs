using Codo.Platform.Localization;

namespace Codo.Platform.Processes;

/// <summary>The environment that a command gets: the host's, without anything that configures the host, and the command's own variables.</summary>
public static class CommandEnvironment
{
    // The host reads its settings from these. They hold connection strings and keys, which no command may see.
    private static readonly string[] HostSettings =
    [
        "Codo__", "Codo:", "ConnectionStrings__", "ConnectionStrings:", "CUSTOMCONNSTR_", "POSTGRESQLCONNSTR_", "SQLCONNSTR_", "ASPNETCORE_", "DOTNET_",
    ];

    /// <summary>
    /// Whether a variable of this name configures the host and is kept from commands. Case does not matter: the host reads settings in any case.
    /// </summary>
    public static bool IsHostSetting(string name) =>
        HostSettings.Any(prefix => name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase));

    /// <summary>Takes out what configures the host, and what another user than the host's own does not get.</summary>
    public static void Clear(IDictionary<string, string?> environment, CommandUser user)
    {
        foreach (var name in environment.Keys.Where(IsHostSetting).ToList())
            environment.Remove(name);
        user.Apply(environment);
    }

    internal static void Apply(IDictionary<string, string?> environment, IReadOnlyDictionary<string, string>? own, string runId, CommandUser user)
    {
        Clear(environment, user);

        foreach (var (name, value) in own ?? new Dictionary<string, string>())
        {
            if (name.Length == 0 || name.Contains('=') || name.Contains('\0') || value.Contains('\0'))
                throw new CommandNotStartedException(
                    new Text($"环境变量 {name} 无效", $"The environment variable '{name}' has a name or a value that cannot be passed on.")
                );
            environment[name] = value;
        }

        environment[RunMark.Variable] = runId;
    }
}
