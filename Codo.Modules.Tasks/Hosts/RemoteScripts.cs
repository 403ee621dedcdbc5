using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Codo.Platform.Localization;
using Codo.Platform.Processes;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>
/// What is sent to a host to run. The login shell reads <see cref="LoginText"/> alone, which every shell understands; the script comes on standard input, so
/// that a command is in no process argument before its own shell is started, and as long as that shell takes it.
/// </summary>
internal static partial class RemoteScripts
{
    /// <summary>What the login shell is told.</summary>
    public const string LoginText = "exec /bin/sh";

    /// <summary>
    /// A line with this in front, and the run's id, is not the command's output: it tells the run's process group, or the login shell that is refused.
    /// </summary>
    public const string MarkPrefix = "\u0001codo ";

    /// <summary>The word of that line for a login shell that is refused, before its path.</summary>
    public const string RefusedShell = "shell";

    /// <summary>The line that ends an account of processes, before their number.</summary>
    public const string LeftPrefix = "codo-left ";

    // The braces: a shell that reads its script from standard input reads it to the closing one before it runs anything, and standard input is then free for
    // the command. Whoever cannot be told where the command is (descriptor 3 is the channel itself), because nobody listens any more, does not run: it was
    // killed, or taken for gone, before it could be found. All else goes through a pipe, whose reader outlives the channel: what runs on after the end, or
    // after the link was cut, writes to somebody.
    //
    // The subshell becomes the command's session. It leads no group, so setsid does not fork, and its process id and start time (fields 1 and 22 of
    // /proc/self/stat, the second field being a name in parentheses) are the session's. Its parent waits, writes the mark with the exit status into the same
    // pipe, and is not in the session that is killed. Where there is no setsid the command stays in the session that sshd made and is found by its environment;
    // it gets the group 0.
    //
    // Some characters end in the byte of a backslash in GBK, Big5 and Shift JIS. In single quotes it is none to any shell but fish, which would read the quote
    // behind it as text: such a command is not run there. Where it would be one to others, CommandForm.DemandReadable has refused it.
    //
    // The login shell has read its start files when sshd started it. Its second start is told not to: bash reads .bashrc where it sees that sshd is near and
    // SHLVL below 2. fish below 3.3 cannot be told.
    //
    // The shell that removes a script may have been killed with its session; the parent looks, which is not in it. As in Tree, nothing but a file of that name
    // is removed.
    //
    // The first reader ends with the output, or at the first write that the channel does not take any more; then a second one throws the rest away. The
    // channel's own process waits for the first: dropbear closes a channel when that process has ended and nothing is left to read, whoever still holds it. The
    // readers carry the run's id in a variable of their own, because CODO_RUN_ID would make them a part of the run.
    private const string Launch = """
        exec </dev/null 3>&1
        case ${SHELL##*/} in *csh) printf '\001codo %s shell %s\n' "$codo_run" "$SHELL"; exit 126;; esac
        exec 2>/dev/null
        codo_setsid=
        if command -v setsid >/dev/null; then codo_setsid=setsid; fi
        {
          (
            IFS= read -r codo_stat </proc/self/stat
            IFS= read -r codo_boot </proc/sys/kernel/random/boot_id
            codo_id=${codo_stat%% *} codo_group=0
            set -- 1 2 ${codo_stat##*') '}
            if [ "$codo_setsid" ]; then codo_group=${codo_id:-$(exec /bin/sh -c 'echo $PPID')}; fi
            printf '\001codo %s %s %s %s\n' "$codo_run" "$codo_group" "${22:-0}" "${codo_boot:--}" >&3 || exit 1
            exec 2>&1 3>&-
            CODO_RUN_ID=$codo_run
            export CODO_RUN_ID
            set --
            codo_reader='eval "exec 3<&-; $(cat <&3)"'
            case ${SHELL##*/} in
              bash) SHLVL=1; export SHLVL;;
              zsh) set -- -f;;
              fish)
                [ -z "$codo_backslash" ] || { echo "codo: $codo_backslash"; exit 126; }
                if "$SHELL" --no-config -c true </dev/null >/dev/null 2>&1; then set -- --no-config; fi
                codo_reader='eval (cat <&3 | string collect)';;
            esac
            codo_start "$@"
          )
          codo_status=$?
          if [ -d "$codo_place" ]; then rm -f "$codo_place/codo-$codo_run"; rmdir "$codo_place"; fi
          printf '%s%03d' "$codo_mark" $codo_status
        } | { exec 4<&0 3>&-; CODO_DRAIN=$codo_run; export CODO_DRAIN; cat || { cat <&4 >/dev/null 4<&- & } }
        exit 255
        """;

    // The command as an argument, which shows it to whoever looks at the process table: as if the login shell had been given it.
    private const string StartPlain = """exec $codo_setsid "${SHELL:-/bin/sh}" "$@" -c "$codo_command" """;

    private const string StartPrivate = """
        exec $codo_setsid "${SHELL:-/bin/sh}" "$@" -c "$codo_reader" 3<<CODO_END
        $codo_command
        CODO_END
        """;

    // script starts $SHELL with nothing but -c: it gets a shell that starts the login shell as it is started elsewhere.
    private const string StartPty = """
        command -v script >/dev/null || { echo 'codo: pty needs the program script (util-linux)'; exit 127; }
        CODO_SHELL=${SHELL:-/bin/sh} CODO_FLAG=$1 CODO_READER=$codo_reader SHELL=/bin/sh
        export CODO_SHELL CODO_FLAG CODO_READER SHELL
        exec $codo_setsid script -qefc "$codo_terminal" /dev/null 3<<CODO_END
        $codo_command
        CODO_END
        """;

    // Nothing of what it was told is left in the command's environment.
    private const string Terminal =
        """SHELL=$CODO_SHELL; set -- $CODO_FLAG -c "$CODO_READER"; unset CODO_SHELL CODO_FLAG CODO_READER; exec "$SHELL" "$@" """;

    // As for local commands (LocalCommand.FileScript).
    private const string StartFile = """
        codo_file=$codo_place/codo-$codo_run
        exec $codo_setsid /bin/sh -c "$codo_keeper" sh "$codo_file" "$codo_pty" "$@" 3<<CODO_END
        $codo_command
        CODO_END
        """;

    private const string Keeper = """
        codo_file=$1 codo_pty=$2
        shift 2
        mkdir -m 700 "${codo_file%/*}" && { (umask 077; cat <&3 >"$codo_file") && chmod 700 "$codo_file" || { rm -rf "${codo_file%/*}"; false; }; } ||
          { echo "codo: the script cannot be written to $codo_file"; exit 126; }
        exec 3<&-
        trap : TERM
        if [ -n "$codo_pty" ]; then SHELL=/bin/sh codo_file=$codo_file script -qefc "$codo_pty" /dev/null; else "$@" "$codo_file"; fi
        codo_status=$?
        rm -rf "${codo_file%/*}"
        exit $codo_status
        """;

    // The same rules as for local runs: session, CODO_RUN_ID, descendants; never a recycled number, never a zombie. A line of the list is id:start, with :m for
    // the main group.
    private const string List = """
        BEGIN { n = split(marked, ids, " "); for (i = 1; i <= n; i++) ours[ids[i]] = 1
                n = split(known, pairs, " "); for (i = 1; i <= n; i++) seen[pairs[i]] = 1 }
        { id = $1 + 0; rest = $0; sub(/^.*\) /, "", rest); split(rest, field, " ")
          if (id <= 1 || field[1] == "Z" || field[1] == "X") next
          parent[id] = field[2]; pgrp[id] = field[3]; sid[id] = field[4]; began[id] = field[20] }
        END {
          # Also before it has become the leader of its session.
          if (group > 1 && (group in began) && began[group] == start) ours[group] = 1
          for (id in ours) if (!(id in began)) delete ours[id]; else if (group > 1 && sid[id] == group) trusted = 1
          if (group > 1 && (group in began) && began[group] == start) trusted = 1
          for (id in began) if ((trusted && sid[id] == group) || ((id ":" began[id]) in seen)) ours[id] = 1
          do { more = 0; for (id in began) if (!(id in ours) && (parent[id] in ours)) { ours[id] = 1; more = 1 } } while (more)
          for (id in ours) print id ":" began[id] (group > 1 && pgrp[id] == group && sid[id] == group ? ":m" : "") }
        """;

    // $1 run id, $2 group, $3 start, $4 boot id, $5 the list's program, $6 pauses in seconds after TERM (none: only look), $7 pauses after KILL.
    // Where there is no /proc or no awk only the group is known, and of a run without one nothing: no answer is given.
    //
    // The shell that would have removed a script may have been killed, or ended with the host. Whoever its folder belongs to may have put a link in its place:
    // nothing but a file of that name is ever removed behind one.
    private const string Tree = """
        run=$1 group=$2 start=$3 boot=$4 list=$5 grace=$6 rounds=$7
        forget() {
          place=${TMPDIR:-/tmp}/codo-$run
          rm -f "$place/codo-$run" 2>/dev/null
          rmdir "$place" 2>/dev/null
        }
        if { IFS= read -r now </proc/sys/kernel/random/boot_id; } 2>/dev/null && [ "$boot" != - ] && [ "$now" != "$boot" ]; then
          [ -z "$rounds" ] || forget
          echo 'codo-left 0'
          exit
        fi
        known= told= left=
        look() {
          if [ -r /proc/self/stat ] && command -v awk >/dev/null 2>&1; then
            marked=$(grep -lszxF -e "CODO_RUN_ID=$run" /proc/[0-9]*/environ 2>/dev/null | tr -dc '0-9\n' | tr '\n' ' ')
            left=$(cat /proc/[0-9]*/stat 2>/dev/null | awk -v marked="$marked" -v known="$known" -v group="$group" -v start="$start" "$list" | tr '\n' ' ')
          elif [ "$group" -gt 1 ]; then
            if kill -0 "-$group" 2>/dev/null; then left="$group:$start:m "; else left=; fi
          else exit; fi
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
        if [ -n "$rounds" ] && [ $# = 0 ]; then forget; fi
        echo "codo-left $#"
        """;

    // Who has the pipe open for writing that the reader of the run's output ($1) has on its standard input.
    private const string CountHolders = """
        pid=$(grep -lszxF -e "CODO_DRAIN=$1" /proc/[0-9]*/environ 2>/dev/null | tr -dc '0-9\n' | sed -n 1p)
        [ -n "$pid" ] || { echo 'codo-left 0'; exit; }
        pipe=$(ls -l "/proc/$pid/fd/0") || exit
        ls -l /proc/[0-9]*/fd 2>/dev/null |
            awk -v pipe="${pipe##* }" '/^\/proc/ { one = 1 } /^l-w/ && $NF == pipe && one { count++; one = 0 } END { print "codo-left " count + 0 }'
        """;

    // ASCII, which the host's encoding leaves as it is.
    private const string HiddenBackslash = "fish would read a character of this command as a backslash in the host's encoding, so the command was not run";

    private const string ProbeOnly = "";
    private const string KillRounds = "0.01 0.05 0.05 0.05 0.1 0.1 0.1 0.2 0.2 0.2";

    [GeneratedRegex("^[A-Za-z_][A-Za-z0-9_]*$")]
    private static partial Regex VariableName { get; }

    /// <summary>A command, ready to be sent.</summary>
    /// <param name="mark">What ends its output.</param>
    /// <exception cref="CommandNotStartedException">It is too long, or holds what cannot be sent.</exception>
    public static byte[] Run(string command, string runId, IReadOnlyDictionary<string, string>? environment, EndMark mark, CommandForm? form = null)
    {
        form ??= CommandForm.Plain;
        // The shell would take a text that begins with one of these for an option.
        if (command.StartsWith('-') || command.StartsWith('+')) command = " " + command;
        var variables = environment ?? new Dictionary<string, string>();
        if (variables.Keys.FirstOrDefault(name => !VariableName.IsMatch(name)) is { } wrong)
            throw new CommandNotStartedException(new Text($"环境变量名 {wrong} 无效", $"'{wrong}' is no name for an environment variable."));
        var length = form.Bytes(command).Length;
        if (length > LocalCommand.MaxCommandBytes)
            throw new CommandNotStartedException(
                new Text(
                    $"命令过长：{length} 字节，最多 {LocalCommand.MaxCommandBytes} 字节",
                    $"The command is {length} bytes long; a host takes {LocalCommand.MaxCommandBytes} at most."
                )
            );

        form.DemandReadable(command);
        var interpreter = CommandForm.Interpreter(command);
        var start =
            interpreter is not null ? $"set -- {string.Join(' ', interpreter.Select(Quote))}\n{StartFile}"
            : form.Pty ? StartPty
            : form.Private ? StartPrivate
            : StartPlain;
        var set = new List<string>
        {
            $"codo_run={Quote(runId)} codo_mark={Quote(mark.Text)} codo_command={Quote(command)}",
            $"codo_backslash={(interpreter is null && HasHiddenBackslash(command, form) ? Quote(HiddenBackslash) : "")}",
        };
        if (interpreter is not null)
            set.Add($"codo_keeper={Quote(Keeper)} codo_pty={Quote(form.Pty ? string.Join(' ', interpreter.Select(Quote)) + " \"$codo_file\"" : "")}");
        else if (form.Pty) set.Add($"codo_terminal={Quote(Terminal)}");
        set.AddRange(variables.Select(variable => $"{variable.Key}={Quote(variable.Value)}; export {variable.Key}"));
        // As the variables have it.
        set.Add(interpreter is null ? "codo_place=" : "codo_place=${TMPDIR:-/tmp}/codo-$codo_run");
        var text = $"{{\n{string.Join('\n', set)}\ncodo_start() {{\n{start}\n}}\n{Launch}\n}}\n";
        if (text.Contains('\0'))
            throw new CommandNotStartedException(new Text("命令包含空字符（NUL）", "The command contains a NUL character, which no shell can be given."));
        return form.Bytes(text);
    }

    /// <summary>Ends all processes of a run and prints <see cref="LeftPrefix"/> and how many are left.</summary>
    public static byte[] Kill(RunMark run, TimeSpan grace)
    {
        // Growing pauses: a command that ends at once is not waited for, and the host is not kept busy by looking.
        var pauses = new List<double>();
        for (var (pause, sum) = (0.05, 0.0); sum < grace.TotalSeconds - 0.001; sum += pauses[^1], pause = Math.Min(pause * 2, 0.5))
            pauses.Add(Math.Min(pause, grace.TotalSeconds - sum));
        return Account(run, string.Join(' ', pauses.Select(pause => pause.ToString("0.###", CultureInfo.InvariantCulture))), KillRounds);
    }

    /// <summary>Prints <see cref="LeftPrefix"/> and how many processes of a run there are.</summary>
    public static byte[] Probe(RunMark run) => Account(run, ProbeOnly, ProbeOnly);

    /// <summary>
    /// Prints <see cref="LeftPrefix"/> and how many processes have the output of a run open whose command has ended; nothing where that cannot be found out.
    /// </summary>
    public static byte[] Holders(RunMark run) => Call(CountHolders, run.RunId);

    private static byte[] Account(RunMark run, string grace, string rounds) => Call(
        Tree,
        run.RunId,
        run.ProcessGroup.ToString(CultureInfo.InvariantCulture),
        run.StartTicks.ToString(CultureInfo.InvariantCulture),
        run.BootId.Length == 0 ? "-" : run.BootId,
        List,
        grace,
        rounds);

    // The empty line: what start files have written need not end with one.
    private static byte[] Call(string script, params IEnumerable<string> arguments) =>
        Encoding.UTF8.GetBytes($"{{\nexec </dev/null\necho\nset -- {string.Join(' ', arguments.Select(Quote))}\n{script}\nexit\n}}\n");

    private static bool HasHiddenBackslash(string command, CommandForm form) =>
        form.Encoding is not null && form.Bytes(command).Count(one => one == (byte)'\\') > command.Count(letter => letter == '\\');

    private static string Quote(string word) => "'" + word.Replace("'", @"'\''", StringComparison.Ordinal) + "'";
}
