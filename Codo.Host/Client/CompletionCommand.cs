using System.CommandLine;
using System.CommandLine.Completions;

namespace Codo.Host.Client;

/// <summary><c>codo completion bash|zsh|fish</c>: a script for the shell, which asks <c>codo __complete</c> for the words.</summary>
internal static class CompletionCommand
{
    /// <summary>How long names of the server may take: whoever pressed the key waits.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    // Not by compgen -W, which expands the words as the shell does its own: names come from the server, and $(…) in one would be run.
    private const string Bash = """
        # bash completion for codo: source <(codo completion bash)
        _codo() {
            local word place rest=$COMP_LINE typed
            local -a words=()
            COMPREPLY=()
            # bash breaks words at : = and @ too, which names may hold: what has no blank between is one word.
            for ((place = 0; place <= COMP_CWORD; place++)); do
                word=${COMP_WORDS[place]}
                if ((place > 1)) && [[ $rest != [[:blank:]]* && ($word == [@:=]* || ${COMP_WORDS[place - 1]} == *[@:=]) ]]; then
                    words[${#words[@]} - 1]+=$word
                else
                    words+=("$word")
                fi
                rest=${rest#"${rest%%[![:blank:]]*}"}
                rest=${rest#"$word"}
            done
            # bash replaces only the part after the last : = or @.
            typed=${words[${#words[@]} - 1]}
            [[ -n $word && -z ${word//[@:=]/} ]] || typed=${typed%"$word"}
            while IFS= read -r word; do
                word=${word#"$typed"}
                # printf %q writes '' for an empty word.
                [[ -z $word ]] || printf -v word %q "$word"
                COMPREPLY+=("$word")
            done < <(codo __complete "${words[@]:1}" 2>/dev/null)
            [ ${#COMPREPLY[@]} -gt 0 ] || compopt -o default
        }
        complete -F _codo codo

        """;

    private const string Zsh = """
        #compdef codo
        # zsh completion for codo: codo completion zsh > "${fpath[1]}/_codo", or source <(codo completion zsh)
        _codo() {
            local -a found
            found=("${(@f)$(codo __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
            if [[ -n "$found" ]]; then compadd -- "${found[@]}"; else _files; fi
        }
        if [ "$funcstack[1]" = "_codo" ]; then _codo "$@"; else compdef _codo codo; fi

        """;

    private const string Fish = """
        # fish completion for codo: codo completion fish > ~/.config/fish/completions/codo.fish
        function __codo_complete
            set -l words (commandline -opc) (commandline -ct)
            codo __complete $words[2..-1] 2>/dev/null
        end
        complete -c codo -f -a '(__codo_complete)'

        """;

    public static Command Command(ClientContext context)
    {
        var shell = new Argument<string>("SHELL") { Description = "bash, zsh or fish." };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        var command = new Command("completion", "Print a script that completes commands, options and names in a shell.") { shell };
        command.SetAction(parsed =>
            context.Output.Write(
                parsed.GetRequiredValue(shell) switch
                {
                    "bash" => Bash,
                    "zsh" => Zsh,
                    _ => Fish,
                }
            )
        );
        return command;
    }

    /// <summary>Prints what the last of the words may become, a word a line.</summary>
    public static async Task<int> Complete(string[] words, RootCommand root, ClientContext context)
    {
        var last = words.Length == 0 ? "" : words[^1];
        var parsed = root.Parse([RootCommand.ExecutableName, .. words]);
        // The value of an option that has some.
        if (
            words.Length > 1
                && parsed.CommandResult.Command.Options.FirstOrDefault(option => Is(option, words[^2])) is { } given
                && given.ValueType != typeof(bool)
        )
        {
            Print(context, given.GetCompletions(CompletionContext.Empty).Select(word => word.Label), last);
            return ExitCodes.Done;
        }

        var found = parsed.GetCompletions().Select(completion => completion.InsertText ?? completion.Label).ToList();
        // Names of the server where the command takes one; options only once a hyphen was typed.
        if (!last.StartsWith('-') && parsed.CommandResult.Command is { Arguments.Count: > 0 } command)
        {
            found.RemoveAll(word => word.StartsWith('-'));
            found.AddRange(await Names(command, last, context));
        }

        Print(context, found.Where(word => !word.StartsWith('/')), last);
        return ExitCodes.Done;
    }

    private static bool Is(Option option, string word) => option.Name == word || option.Aliases.Contains(word);

    private static void Print(ClientContext context, IEnumerable<string> words, string last)
    {
        foreach (var word in words.Where(word => word.StartsWith(last, StringComparison.Ordinal)).Distinct().Order(StringComparer.Ordinal))
            context.Output.WriteLine(TerminalText.Name(word));
    }

    private static async Task<List<string>> Names(Command command, string beginning, ClientContext context)
    {
        var noun = command.Parents.OfType<Command>().FirstOrDefault(parent => parent is not RootCommand)?.Name ?? command.Name;
        var (path, field) = (noun, command.Name) switch
        {
            ("job" or "why", _) => ("/v1/cron/job/" + CodoServer.Query(("q", beginning), ("limit", 100)), "job_id"),
            ("order", "submit" or "preview") => ("/v2/task_layout/temp/", "temp_name"),
            ("order", _) => ("/v2/task/list/?limit=100", "list_id"),
            ("incident", "ack") => ("/v2/alerts/incident/?state=open&limit=100", "id"),
            _ => ("", ""),
        };
        if (path.Length == 0) return [];
        try
        {
            using var server = Logins.Connect(context, null);
            var answer = await server.Get(path).WaitAsync(Patience, context.Time);
            return [.. answer.Rows("data").Select(row => row.Text(field))];
        }
        catch (Exception failure) when (failure is ClientFailure or TimeoutException or IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
