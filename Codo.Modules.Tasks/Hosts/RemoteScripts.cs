using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Codo.Platform.Http;
using Codo.Platform.Processes;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>What is sent to a host to run. The login shell only has to find the end of single-quoted words, which sh, bash, dash and zsh do alike; the rest is read by <c>/bin/sh</c>.</summary>
internal static partial class RemoteScripts
{
    /// <summary>A line with this in front, and the run's id, is not the command's output: it tells the run's process group.</summary>
    public const string MarkPrefix = "\u0001codo ";

    /// <summary>The line that ends an account of processes, before their number.</summary>
    public const string LeftPrefix = "codo-left ";

    // SSH.NET sends it in one packet, and its packets hold no more than 68,536 bytes.
    private const int MaxBytes = 66 * 1024;

    // The setsid that a shell starts leads no group, so it does not fork: the shell itself waits for the command and learns its exit status or its signal,
    // and is not in the session that is killed. (As the shell's last command it might be executed in its place, lead a group, fork, and report 0 for everything:
    // hence the exit.) Where there is no setsid the command stays in the session that sshd made, and is found by its environment.
    private const string Launch = """
        exec </dev/null
        start=$1 setsid=
        shift
        if command -v setsid >/dev/null 2>&1; then setsid=setsid; fi
        $setsid /bin/sh -c "$start" sh "$@" 2>/dev/null
        exit $?
        """;

    // $1 is the run's id and $2 the command, the rest are variables. After them come the fields of /proc/PID/stat from the third on, behind the name in parentheses:
    // the fifth is the process group, the twenty-second the start time. A group that this process does not lead is not the run's alone and is given as 0.
    // Whoever cannot tell this, because nobody listens any more, is not to run: it was killed, or taken for gone, before it could be found.
    private const string Start = """
        run=$1 command=$2
        shift 2
        for variable; do export "$variable"; done
        { IFS= read -r stat </proc/$$/stat; IFS= read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
        set -- 1 2 ${stat##*) }
        if [ "${5:-$$}" = $$ ]; then group=$$; else group=0; fi
        printf '\001codo %s %s %s %s\n' "$run" "$group" "${22:-0}" "${boot:--}" || exit 1
        CODO_RUN_ID=$run
        export CODO_RUN_ID
        exec 2>&1
        exec "${SHELL:-/bin/sh}" -c "$command"
        """;

    // The same rules as for local runs: session, CODO_RUN_ID, descendants; never a recycled number, never a zombie. A line of the list is id:start, with :m for the main group.
    private const string List = """
        BEGIN { n = split(marked, ids, " "); for (i = 1; i <= n; i++) ours[ids[i]] = 1
                n = split(known, pairs, " "); for (i = 1; i <= n; i++) seen[pairs[i]] = 1 }
        { id = $1 + 0; rest = $0; sub(/^.*\) /, "", rest); split(rest, field, " ")
          if (id <= 1 || field[1] == "Z" || field[1] == "X") next
          parent[id] = field[2]; pgrp[id] = field[3]; sid[id] = field[4]; began[id] = field[20] }
        END {
          for (id in ours) if (!(id in began)) delete ours[id]; else if (group > 1 && sid[id] == group) trusted = 1
          if (group > 1 && (group in began) && began[group] == start) trusted = 1
          for (id in began) if ((trusted && sid[id] == group) || ((id ":" began[id]) in seen)) ours[id] = 1
          do { more = 0; for (id in began) if (!(id in ours) && (parent[id] in ours)) { ours[id] = 1; more = 1 } } while (more)
          for (id in ours) print id ":" began[id] (group > 1 && pgrp[id] == group && sid[id] == group ? ":m" : "") }
        """;

    // $1 run id, $2 group, $3 start, $4 boot id, $5 the list's program, $6 pauses in seconds after TERM (none: only look), $7 pauses after KILL.
    // Where there is no /proc or no awk only the group is known.
    private const string Tree = """
        run=$1 group=$2 start=$3 boot=$4 list=$5 grace=$6 rounds=$7
        if { IFS= read -r now </proc/sys/kernel/random/boot_id; } 2>/dev/null && [ "$boot" != - ] && [ "$now" != "$boot" ]; then echo 'codo-left 0'; exit; fi
        known= told= left=
        look() {
          if [ -r /proc/self/stat ] && command -v awk >/dev/null 2>&1; then
            marked=$(grep -lszxF -e "CODO_RUN_ID=$run" /proc/[0-9]*/environ 2>/dev/null | tr -dc '0-9\n' | tr '\n' ' ')
            left=$(cat /proc/[0-9]*/stat 2>/dev/null | awk -v marked="$marked" -v known="$known" -v group="$group" -v start="$start" "$list" | tr '\n' ' ')
          elif [ "$group" -gt 1 ] && kill -0 "-$group" 2>/dev/null; then left="$group:$start:m "
          else left=; fi
          for one in $left; do known="$known ${one%:m}"; done
        }
        signal() {
          for one in $left; do
            id=${one%%:*}
            case $one in *:m) id=-$group;; esac
            case " $told " in *" $id "*) continue;; esac
            told="$told $id"
            kill -s "$1" -- "$id" 2>/dev/null
          done
        }
        look
        for pause in $grace; do [ -n "$left" ] || break; signal TERM; sleep "$pause"; look; done
        for pause in $rounds; do [ -n "$left" ] || break; told=; signal KILL; sleep "$pause"; look; done
        set -- $left
        echo "codo-left $#"
        """;

    private const string LookOnly = "";
    private const string KillRounds = "0.01 0.05 0.05 0.05 0.1 0.1 0.1 0.2 0.2 0.2";

    [GeneratedRegex("^[A-Za-z_][A-Za-z0-9_]*$")]
    private static partial Regex VariableName { get; }

    /// <summary>A command, ready to be sent.</summary>
    /// <exception cref="CommandNotStartedException">It is too long, or holds what cannot be sent.</exception>
    public static string Run(string command, string runId, IReadOnlyDictionary<string, string>? environment)
    {
        // The shell would take a text that begins with one of these for an option.
        if (command.StartsWith('-') || command.StartsWith('+')) command = " " + command;
        var variables = environment ?? new Dictionary<string, string>();
        if (variables.Keys.FirstOrDefault(name => !VariableName.IsMatch(name)) is { } wrong)
            throw new CommandNotStartedException(new Text($"环境变量名 {wrong} 无效", $"'{wrong}' is no name for an environment variable."));

        var text = Call(Launch, [Start, runId, command, .. variables.Select(variable => $"{variable.Key}={variable.Value}")]);
        var length = Encoding.UTF8.GetByteCount(text);
        if (length > MaxBytes)
            throw new CommandNotStartedException(new Text($"命令过长：传输需 {length} 字节，最多 {MaxBytes} 字节", $"The command takes {length} bytes to send; a host takes {MaxBytes} at most."));
        if (text.Contains('\0'))
            throw new CommandNotStartedException(new Text("命令包含空字符（NUL）", "The command contains a NUL character, which no shell can be given."));
        return text;
    }

    /// <summary>Ends all processes of a run and prints <see cref="LeftPrefix"/> and how many are left.</summary>
    public static string Kill(RunMark run, TimeSpan grace)
    {
        // Growing pauses: a command that ends at once is not waited for, and the host is not kept busy by looking.
        var pauses = new List<double>();
        for (var (pause, sum) = (0.05, 0.0); sum < grace.TotalSeconds - 0.001; sum += pauses[^1], pause = Math.Min(pause * 2, 0.5))
            pauses.Add(Math.Min(pause, grace.TotalSeconds - sum));
        return Account(run, string.Join(' ', pauses.Select(pause => pause.ToString("0.###", CultureInfo.InvariantCulture))), KillRounds);
    }

    /// <summary>Prints <see cref="LeftPrefix"/> and how many processes of a run there are.</summary>
    public static string Look(RunMark run) => Account(run, LookOnly, LookOnly);

    private static string Account(RunMark run, string grace, string rounds) => Call(
        Tree,
        run.RunId,
        run.ProcessGroup.ToString(CultureInfo.InvariantCulture),
        run.StartTicks.ToString(CultureInfo.InvariantCulture),
        run.BootId.Length == 0 ? "-" : run.BootId,
        List,
        grace,
        rounds);

    private static string Call(string script, params IEnumerable<string> arguments) =>
        $"exec /bin/sh -c {Quote(script)} sh {string.Join(' ', arguments.Select(Quote))}";

    private static string Quote(string word) => "'" + word.Replace("'", @"'\''", StringComparison.Ordinal) + "'";
}
