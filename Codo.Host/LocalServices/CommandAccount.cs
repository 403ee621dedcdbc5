using System.ComponentModel;
using System.Diagnostics;
using Codo.Platform.Processes;
using Codo.Platform.Security;

namespace Codo.Host.LocalServices;

/// <summary>
/// The user that commands run as where no setting names one. An installation that is upgraded does not have it yet, and has to take new jobs all the same.
/// </summary>
internal static class CommandAccount
{
    /// <summary>Makes the user when root starts a host and it is not there. Where that fails, health says what to do.</summary>
    public static void MakeWhereMissing(IConfiguration configuration)
    {
        if (!Environment.IsPrivilegedProcess || configuration["Codo:RunAs"] is { Length: > 0 } || SystemUser.Find(RunAsRule.MadeForCommands) is not null)
            return;
        try
        {
            // As deploy/users.sh does it. A service's PATH need not have /usr/sbin.
            var useradd = new ProcessStartInfo(
                File.Exists("/usr/sbin/useradd") ? "/usr/sbin/useradd" : "useradd",
                [
                    "--system",
                    "--create-home",
                    "--home-dir",
                    "/var/lib/codo-run",
                    "--shell",
                    "/usr/sbin/nologin",
                    "--comment",
                    "Codo's commands",
                    RunAsRule.MadeForCommands,
                ]
            )
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            using var made = Process.Start(useradd)!;
            made.StandardError.ReadToEnd();
            made.WaitForExit();
        }
        catch (Win32Exception)
        {
            // No useradd: a machine that gets its users elsewhere.
        }
    }
}
