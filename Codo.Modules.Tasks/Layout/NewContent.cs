using Codo.Modules.Tasks.Hosts;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// What the steps that replace a template's bring in. A template's users arrange what it has and what the library has; a new command text, another execute-user
/// or <c>127.0.0.1</c> for a step need the operator's right, an execute-user that names its users needs to name the caller, and what runs as Codo's own user
/// needs a superuser.
/// </summary>
internal sealed class NewContent(RunAsRule rule, Access access, bool isEditor, long space)
{
    private readonly Caller caller = access.Caller;

    private const string LibrarySql = """
        SELECT command, args, force_host FROM tasks.scheduler_cmd_list WHERE command = ANY(@Commands)
        """;

    /// <summary>A step as it is going to be stored, as far as rights depend on it.</summary>
    /// <param name="Before">The template's step of the same id; null for a new one.</param>
    internal sealed record Planned(string Command, string Args, string Interpreter, string ExecUser, string ForceHost, string? RunAs, StepRow? Before);

    private sealed record LibraryRow(string Command, string Args, string ForceHost);

    /// <summary>The user that each step runs as on Codo's own machine, in the order of the steps, and what the caller should know of that.</summary>
    /// <exception cref="Refusal">The caller may not bring in what a step brings in.</exception>
    public async Task<(string[] RunAs, IReadOnlyList<Text> Warnings)> Check(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        IReadOnlyList<Planned> steps,
        IReadOnlyList<StepRow> before
    )
    {
        var fresh = steps.Where(step => !before.Any(old => IsSame(step, old))).ToList();
        if (!isEditor && fresh.Count > 0)
        {
            var library = (
                await connection.QueryAsync<LibraryRow>(LibrarySql, new { Commands = fresh.Select(step => step.Command).Distinct().ToArray() }, transaction)
            ).AsList();
            for (var place = 0; place < steps.Count; place++)
                if (fresh.Contains(steps[place], ReferenceEqualityComparer.Instance)) Arranged(steps[place], $"new_temp_data[{place}]", before, library);
        }

        await ExecuteUserRight.Demand(
            connection,
            transaction,
            access,
            [.. fresh.Where(step => !StepHost.IsLocal(step.ForceHost)).Select(step => step.ExecUser).Distinct()],
            isNew: isEditor,
            space
        );
        var (names, warnings) = (new string[steps.Count], new List<Text>());
        for (var place = 0; place < steps.Count; place++) names[place] = await RunAs(connection, transaction, steps[place], before, warnings);
        return (names, warnings);
    }

    private async Task<string> RunAs(
        NpgsqlConnection connection,
        NpgsqlTransaction transaction,
        Planned step,
        IReadOnlyList<StepRow> before,
        List<Text> warnings
    )
    {
        var mayName = isEditor;
        var kept = step.Before is { RunAs.Length: > 0 } old && (mayName || IsSame(step, old)) ? old.RunAs : rule.Default;
        var named = string.IsNullOrWhiteSpace(step.RunAs) ? kept : step.RunAs.Trim();
        // Moved, copied or as it was: nothing new runs as that user.
        if (before.Any(other => IsSame(step, other) && other.RunAs == named)) return named;
        if (!mayName && (named != rule.Default || before.Any(other => IsSame(step, other))))
            throw Refusal.Forbidden($"只有操作员可以让步骤以另一个用户 {named} 的身份执行（run_as）", $"Only an operator may have a step run as another user, {named} (run_as)");
        if (named != step.Before?.RunAs) return rule.Choose(caller, named);
        try
        {
            await rule.MayChange(connection, transaction, caller, named);
            return named;
        }
        catch (Refusal) when (!StepHost.IsLocal(step.ForceHost))
        {
            // Stamped by an upgrade, most often, and meant for other hosts, where it counts for nothing: the step is not to be closed to its operators for
            // that.
            warnings.Add(
                new Text(
                    $"{step.Before!.CommandName}：内容已修改，在 Codo 所在机器上改以 {rule.Default} 的身份执行（run_as）",
                    $"{step.Before.CommandName}: changed, so that on Codo's own machine it runs as {rule.Default} now (run_as)"
                )
            );
            return rule.Choose(caller, null);
        }
    }

    private static void Arranged(Planned step, string at, IReadOnlyList<StepRow> before, List<LibraryRow> library)
    {
        var inTemplate = before.Where(old => IsText(step, old)).ToList();
        var inLibrary = step.Interpreter.Length > 0 ? [] : library.Where(row => row.Command == step.Command && row.Args == step.Args).ToList();
        if (inTemplate.Count == 0 && inLibrary.Count == 0)
            throw Refusal.Forbidden(
                $"{at}：只有操作员可以写入新的命令（可使用命令库中的命令）",
                $"{at}: only an operator may bring in a new command text; commands of the library may be used"
            );
        if (StepHost.IsLocal(step.ForceHost))
        {
            if (!inTemplate.Any(old => StepHost.IsLocal(old.ForceHost)) && !inLibrary.Any(row => StepHost.IsLocal(row.ForceHost)))
                throw Refusal.Forbidden($"{at}：只有操作员可以让命令在 {StepHost.Local} 上执行", $"{at}: only an operator may have a command run on {StepHost.Local}");
            return;
        }

        var users = (inLibrary.Count > 0 ? before : inTemplate).Where(old => !StepHost.IsLocal(old.ForceHost)).Select(old => old.ExecUser);
        if (!users.Contains(step.ExecUser, StringComparer.Ordinal))
            throw Refusal.Forbidden($"{at}：只有操作员可以使用另一个执行用户 {step.ExecUser}", $"{at}: only an operator may bring in another execute-user, {step.ExecUser}");
    }

    private static bool IsSame(Planned step, StepRow old) =>
        IsText(step, old) && step.ExecUser == old.ExecUser && StepHost.IsLocal(step.ForceHost) == StepHost.IsLocal(old.ForceHost);

    private static bool IsText(Planned step, StepRow old) => step.Command == old.Command && step.Args == old.Args && step.Interpreter == old.Interpreter;
}
