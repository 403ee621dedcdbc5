using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Dapper;
using Microsoft.Extensions.Configuration;
using Npgsql;

namespace Codo.Platform.Security;

/// <summary>Which users of the operating system commands may run as, and who may choose one: <c>Codo:RunAs</c> and <c>Codo:AllowRunAs</c>.</summary>
public sealed class RunAsRule(NodeSettings settings, IConfiguration configuration, NpgsqlDataSource source)
{
    /// <summary>The user that commands run as where nothing else is set and the host may switch: it owns nothing of Codo's.</summary>
    public const string MadeForCommands = "codo-run";

    private const string StampedSql = """
        SELECT value FROM platform.setting WHERE key = 'look.run_as'
        """;

    // Whoever is one of these has all of Codo: root, and the users that its PostgreSQL may run as.
    private static readonly string[] Owners = ["root", "postgres", "codo-db"];

    private readonly IReadOnlyList<string> allowed = SettingsBinding.List(configuration, "Codo:AllowRunAs") ?? [];

    /// <summary>What a new job, step or channel gets that names nobody.</summary>
    public string Default { get; } = settings.RunAs.Length > 0 ? settings.RunAs : HostPrivileges.CanSwitchUser ? MadeForCommands : SystemUser.Own.Name;

    /// <summary>Whether commands run as a user who can read what is Codo's own, by default.</summary>
    public bool IsShared => IsOwner(Default);

    /// <summary>What is wrong with the settings themselves; null when nothing is.</summary>
    public string? Wrong => HostPrivileges.CanSwitchUser && IsShared && !allowed.Contains(Default, StringComparer.Ordinal)
        ? $"Codo:RunAs is {Default}, who can read everything that is Codo's. Name a user of its own, or add {Default} to Codo:AllowRunAs if that is meant."
        : null;

    /// <summary>The name to store.</summary>
    /// <param name="named">What the request says; null or empty when it says nothing.</param>
    /// <param name="before">What is stored; null for something new.</param>
    /// <exception cref="Refusal">The caller may not name that user, this machine does not have it, or the host cannot run anything as it.</exception>
    public string Choose(Caller caller, string? named, string? before = null)
    {
        if (string.IsNullOrWhiteSpace(named)) named = before is { Length: > 0 } ? before : Default;
        named = named.Trim();
        if (named == before) return named;
        if (named != Default)
        {
            if (!allowed.Contains(named, StringComparer.Ordinal))
                throw Refusal.Forbidden($"run_as 不能是 {named}：它不在 Codo:AllowRunAs 中", $"run_as cannot be {named}: Codo:AllowRunAs does not name it");
            if (IsOwner(named) && !caller.IsSuperuser)
                throw Refusal.Forbidden($"只有超级用户可以让命令以 {named} 的身份执行（run_as）", $"Only a superuser may have a command run as {named} (run_as)");
        }

        return CommandUser.TryFind(named, out _, out var why) ? named : throw new Refusal(-1, why) { Hint = named == MadeForCommands ? Make : null };
    }

    /// <summary>
    /// Refuses a change of what runs as a user to whom all of Codo is open, unless a superuser makes it. After an upgrade it holds once somebody has looked at
    /// what was stamped.
    /// </summary>
    public async Task MayChange(NpgsqlConnection connection, NpgsqlTransaction transaction, Caller caller, string runAs)
    {
        if (caller.IsSuperuser || runAs.Length == 0 || runAs == Default || !IsOwner(runAs)) return;
        if (await connection.ExecuteScalarAsync<string?>(StampedSql, transaction: transaction) is not null) return;
        throw Refusal.Forbidden($"它以 {runAs} 的身份执行（run_as），只有超级用户可以修改要执行的内容", $"It runs as {runAs} (run_as): only a superuser may change what it runs");
    }

    /// <summary>Who to start a command as.</summary>
    /// <param name="runAs">As it was stored; empty for what was stored without a name.</param>
    /// <exception cref="CommandNotStartedException">There is no such user here, or the host cannot switch to it.</exception>
    public CommandUser Start(string? runAs) => CommandUser.Of(string.IsNullOrEmpty(runAs) ? Default : runAs);

    /// <summary>What a person should know of how commands run here.</summary>
    /// <returns>Whether something has to be done, and a sentence.</returns>
    public async Task<(bool IsDegraded, string Detail)> Check(CancellationToken cancellation)
    {
        await using var connection = await source.OpenConnectionAsync(cancellation);
        if (await connection.ExecuteScalarAsync<string?>(StampedSql) is { } stamped)
            return (
                true,
                ($"the upgrade has set run_as to {stamped}, the host's user, on every job, step and command channel that was there: give them a user of "
                    + $"their own where they need no more, then POST /v2/nodes/run_as/. {Detail}")
            );
        return (!CommandUser.TryFind(Default, out _, out _), Detail);
    }

    /// <summary>How commands run here, in a sentence.</summary>
    public string Detail =>
        !CommandUser.TryFind(Default, out _, out var why) ? $"nothing new can be run: {why.En}{(Default == MadeForCommands ? "; " + Make.En : "")}"
        : !HostPrivileges.CanSwitchUser ? $"commands share the host's user {SystemUser.Own.Name}, because the host is not root: what it can read, they can"
        : IsShared ? $"commands run as {Default} unless a job or step names somebody else (Codo:RunAs): they can read everything that is Codo's"
        : $"commands run as {Default} unless a job or step names somebody else"
            + (HostPrivileges.CanFindByRunId ? "" : "; without CAP_SYS_PTRACE what leaves its session is not found when a run is ended");

    private static Text Make =>
        new(
            $"用 root 执行：useradd --system --create-home --shell /usr/sbin/nologin {MadeForCommands}，或设置 Codo:RunAs",
            $"make it as root with useradd --system --create-home --shell /usr/sbin/nologin {MadeForCommands}, or set Codo:RunAs"
        );

    private static bool IsOwner(string name) =>
        Owners.Contains(name, StringComparer.Ordinal)
        || name == SystemUser.Own.Name
        || SystemUser.Find(name) is { } user && (user.Id == 0 || user.Id == SystemUser.Own.Id);
}
