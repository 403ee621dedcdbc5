using System.Collections.Concurrent;
using System.Diagnostics;
using Codo.Platform.Processes;

namespace Codo.Host.LocalServices;

/// <summary>
/// Starts child processes on one thread that lives as long as this process. The kernel sends the signal of <c>setpriv --pdeathsig</c> when the *thread* that
/// started the child ends; a thread of the pool may end at any time, and PostgreSQL would be shut down in mid-life.
/// </summary>
internal static class Children
{
    private static readonly BlockingCollection<Action> Work = Begin();

    public static Task<Process> Start(ProcessStartInfo info)
    {
        var started = new TaskCompletionSource<Process>(TaskCreationOptions.RunContinuationsAsynchronously);
        Work.Add(() =>
        {
            try
            {
                Descriptors.Demand();
                started.SetResult(Process.Start(info)!);
            }
            catch (Exception failure)
            {
                started.SetException(failure);
            }
        });
        return started.Task;
    }

    /// <summary>
    /// A command line that becomes <paramref name="program"/> as this user. setsid: a Ctrl-C in the operator's terminal goes to the whole process group, and
    /// PostgreSQL would shut down before the host has drained. Capabilities that a service manager gave the host are not passed on. Both programs replace
    /// themselves, so the child's pid is the program's own.
    /// </summary>
    public static ProcessStartInfo Command(PostgresUser? user, string signalWhenHostDies, string program, IEnumerable<string> arguments)
    {
        List<string> identity = user is null ? [] : [$"--reuid={user.Id}", $"--regid={user.Group}", "--clear-groups"];
        var info = new ProcessStartInfo(
            "setsid",
            ["setpriv", .. identity, "--inh-caps=-all", "--ambient-caps=-all", $"--pdeathsig={signalWhenHostDies}", "--", program, .. arguments]
        )
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            // The host's working directory may be closed to the other user.
            WorkingDirectory = "/",
        };
        // The host's settings hold secrets, and PGPORT and its like would change what PostgreSQL does.
        info.Environment.Clear();
        info.Environment["PATH"] = Environment.GetEnvironmentVariable("PATH");
        info.Environment["LANG"] = "C.UTF-8";
        return info;
    }

    private static BlockingCollection<Action> Begin()
    {
        var work = new BlockingCollection<Action>();
        new Thread(() =>
        {
            foreach (var action in work.GetConsumingEnumerable())
                action();
        })
        { IsBackground = true, Name = "children" }.Start();
        return work;
    }
}
