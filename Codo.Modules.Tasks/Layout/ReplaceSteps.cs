using System.Text.Json;
using System.Text.Json.Serialization;
using Codo.Platform.Cluster;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Dapper;
using FluentValidation;
using FluentValidation.Results;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>
/// Puts new steps in the place of a template's, in one transaction: as GET gave them, or made from commands. The groups' properties stay unless they are sent
/// too.
/// </summary>
internal static class ReplaceSteps
{
    private static readonly Text Emptied = new("模板内容清空", "The template is empty now");
    private static readonly Text Saved = new("修改成功", "Saved");

    /// <param name="TempArgs">Words that orders may replace, beside those of the library; absent leaves them as they are.</param>
    internal sealed record Command(
        long? TempId,
        [property: MostItems(StepRules.MostSteps, StepRules.TooManyStepsZh, StepRules.TooManySteps)] IReadOnlyList<Step?>? NewTempData,
        [property: MostItems(StepRules.MostSteps, StepRules.TooManyGroupsZh, StepRules.TooManyGroups)] IReadOnlyList<GroupProperties?>? Groups,
        IReadOnlyList<string?>? TempArgs,
        string? Space
    ) : IRequest<Result>, IVersioned
    {
        /// <summary>The version that the change was made to; null is any.</summary>
        public int? Version { get; set; }

        /// <summary>The version whose content this is; null for an edit.</summary>
        [JsonIgnore]
        public int? RestoredFrom { get; init; }
    }

    /// <summary>Its warnings say what has become of a step otherwise than it was sent.</summary>
    internal sealed record Result : Answer
    {
        public Result(Text said, int version, IReadOnlyList<Text> warnings) : base(said) =>
            (Version, Warnings) = (version, warnings.Count == 0 ? null : warnings);

        public int Version { get; }

        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public IReadOnlyList<Text>? Warnings { get; }
    }

    // The console sends steps back as it got them, or made from commands of the library.
    [Echoed("temp_id", "command_id", "creator", "creator_id", "create_time", "update_time")]
    internal sealed record Step(
        long? Id,
        int? Group,
        int? Level,
        string? CommandName,
        string? Command,
        string? Args,
        string? Trigger,
        string? ExecUser,
        string? ForceHost,
        int? Timeout,
        int? Retries,
        int? RetryDelay,
        string? OnError,
        bool? Pty,
        string? Interpreter,
        string? RunAs,
        string? Node
    );

    internal sealed record GroupProperties(
        int? Group,
        [property: JsonConverter(typeof(NumberOrText))] string? Batch,
        int? BatchPause,
        int? MaxFailures,
        string? Next
    );

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.TempId).TemplateGiven();
            RuleFor(command => command.Version).Within(1, int.MaxValue, "version");
            RuleFor(command => command)
                .Must(command => command.NewTempData is not null || command.Groups is not null || command.TempArgs is not null || command.Space is not null)
                .Refuse(LibraryRules.NothingMissing.Zh, LibraryRules.NothingMissing.En);
            RuleFor(command => command.TempArgs)
                .Must(words =>
                    words is null
                    || (words.Count <= 200 && words.All(word => word is { Length: > 0 and <= LibraryRules.MostName } && !word.Any(char.IsWhiteSpace)))
                )
                .Refuse("temp_args 最多 200 个词，每个 1 到 100 个字符，不含空白", "temp_args: 200 words at most, of 1 to 100 characters, without blanks");
            RuleFor(command => command).Custom((command, context) =>
            {
                if ((StepRules.Wrong(command.NewTempData) ?? StepRules.Wrong(command.Groups)) is { } wrong)
                    context.AddFailure(new ValidationFailure("new_temp_data", wrong.Text.En) { CustomState = wrong });
            });
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, RunAsRule rule, Zone zone, Access access) : IRequestHandler<Command, Result>
    {
        private readonly Caller caller = access.Caller;

        private const string RemoveSql = """
            DELETE FROM tasks.scheduler_temp_details WHERE temp_id = @TempId AND id <> ALL (@Kept)
            """;

        // A step that stays keeps its id and who made it. New ids rise in the order that was sent, which is the order in which steps of one level run.
        private const string SaveSql = $"""
            INSERT INTO tasks.scheduler_temp_details AS d (id, temp_id, {TemplateColumns.Step}, creator, creator_id)
            SELECT COALESCE(id, nextval(pg_get_serial_sequence('tasks.scheduler_temp_details', 'id'))), @TempId, {TemplateColumns.Step}, @Username, @UserId
            FROM jsonb_populate_recordset(CAST(NULL AS tasks.scheduler_temp_details), CAST(@Steps AS jsonb))
            ON CONFLICT (id) DO UPDATE SET ({TemplateColumns.Step}, update_time) = (SELECT {TemplateColumns.Step}, now() FROM (SELECT excluded.*) AS sent)
            WHERE d.temp_id = @TempId
            """;

        // Steps of one level run by id: what comes back with an old version takes its own id again, unless an import has given it to another template.
        private const string FreeSql = """
            SELECT s.id FROM unnest(CAST(@Ids AS bigint[])) AS s(id) WHERE NOT EXISTS (SELECT FROM tasks.scheduler_temp_details d WHERE d.id = s.id)
            """;

        private const string RemoveGroupsSql = """
            DELETE FROM tasks.scheduler_temp_group WHERE temp_id = @TempId
            """;

        private const string GroupsSql = $"""
            INSERT INTO tasks.scheduler_temp_group (temp_id, {TemplateColumns.Group})
            SELECT @TempId, {TemplateColumns.Group} FROM jsonb_populate_recordset(CAST(NULL AS tasks.scheduler_temp_group), CAST(@Groups AS jsonb))
            """;

        private const string AliasesSql = """
            SELECT alias_user FROM tasks.scheduler_execute_user WHERE alias_user = ANY(@Names)
            """;

        private const string TouchSql = """
            UPDATE tasks.scheduler_temp_list SET update_time = now(), declared = COALESCE(@Declared, declared), space_id = @SpaceId WHERE temp_id = @TempId
            """;

        private const string EditorSql = """
            UPDATE tasks.scheduler_temp_list SET editor_id = @UserId WHERE temp_id = @TempId
            """;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            var id = command.TempId!.Value;
            await using var connection = await source.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var (_, template, isEditor) = await TemplateRight.LockForEdit(connection, transaction, access, id);
            var stored = await TemplateVersions.Keep(connection, transaction, id, null);
            if (command.Version is { } made && made != stored) throw await TemplateVersions.Conflict(connection, transaction, command, stored, zone, access);
            var space = await access.SpaceFor(template, command.Space);
            var before = await TemplateContent.Read(connection, transaction, id);
            IReadOnlyList<Text> warnings = [];
            var known = before.Steps.Select(step => step.Id).ToHashSet();
            if (command is { RestoredFrom: not null, NewTempData: { } old })
                known.UnionWith(await connection.QueryAsync<long>(FreeSql, new { Ids = old.Select(step => step!.Id).OfType<long>().ToArray() }, transaction));
            if (command.NewTempData is { } steps) warnings = await Replace(connection, transaction, id, steps!, before.Steps, known, isEditor, space);
            if (command.Groups is { } groups) await Replace(connection, transaction, id, groups!);
            await connection.ExecuteAsync(
                TouchSql,
                new
                {
                    TempId = id,
                    Declared = command.TempArgs?.Distinct(StringComparer.Ordinal).ToArray(),
                    SpaceId = space,
                },
                transaction
            );
            var after = await TemplateContent.Read(connection, transaction, id);
            var words = after.Declared.Except(before.Declared, StringComparer.Ordinal).ToList();
            await WordRight.Demand(connection, transaction, rule, caller, words, after.Steps.Select(step => (step.RunAs, step.Args)));
            // Whoever wrote what runs stays the one who may not approve it, whoever saves it again, arranges its groups or moves it to another space.
            if (words.Count > 0 || after.Declared.Count < before.Declared.Count || !after.Steps.Select(Runs).SequenceEqual(before.Steps.Select(Runs)))
                await connection.ExecuteAsync(EditorSql, new { TempId = id, caller.UserId }, transaction);
            // What the template brings along must be usable where it goes.
            if (space != template.Space)
                await ExecuteUserRight.Demand(connection, transaction, access, [.. after.Steps.Select(step => step.ExecUser).Distinct()], isNew: false, space);
            var version = await TemplateVersions.Keep(connection, transaction, id, caller, command.RestoredFrom);
            await Audit.Write(
                connection,
                transaction,
                caller,
                command.RestoredFrom is null ? "edit" : "restore",
                "template",
                $"{id}",
                new
                {
                    before.Steps,
                    before.Groups,
                    temp_args = before.Declared,
                    space = access.NameOf(template.Space),
                },
                new
                {
                    after.Steps,
                    after.Groups,
                    temp_args = after.Declared,
                    space = access.NameOf(space),
                }
            );
            await transaction.CommitAsync(cancellationToken);
            return new Result(command.NewTempData is { Count: 0 } ? Emptied : Saved, version, warnings);
        }

        // Steps that come back without their ids are new rows of whoever saved them, and run the same.
        private static StepRow Runs(StepRow step) => step with { Id = 0, Creator = "" };

        private async Task<IReadOnlyList<Text>> Replace(
            NpgsqlConnection connection,
            NpgsqlTransaction transaction,
            long id,
            IReadOnlyList<Step> steps,
            IReadOnlyList<StepRow> before,
            HashSet<long> known,
            bool isEditor,
            long space
        )
        {
            // An id that is not this template's means nothing here. Removed as it is met, so that a step that was copied together with its id gets one of its
            // own.
            var ids = steps.Select(step => step.Id is { } kept && known.Remove(kept) ? (long?)kept : null).ToArray();
            var users = await ExecUsers(connection, transaction, steps, before);
            var planned = steps
                .Select(
                    (step, place) =>
                        new NewContent.Planned(
                            step.Command!,
                            step.Args ?? "",
                            (step.Interpreter ?? "").Trim(),
                            users[place],
                            (step.ForceHost ?? "").Trim(),
                            step.RunAs,
                            ids[place] is { } kept ? before.FirstOrDefault(old => old.Id == kept) : null
                        )
                )
                .ToList();
            var (runAs, warnings) = await new NewContent(rule, access, isEditor, space).Check(connection, transaction, planned, before);
            await connection.ExecuteAsync(RemoveSql, new { TempId = id, Kept = ids.OfType<long>().ToArray() }, transaction);
            var rows = steps.Select(
                (step, place) =>
                    new
                    {
                        Id = ids[place],
                        Group = step.Group ?? 99,
                        Level = step.Level ?? 99,
                        step.CommandName,
                        step.Command,
                        planned[place].Args,
                        Trigger = step.Trigger ?? "order",
                        planned[place].ExecUser,
                        planned[place].ForceHost,
                        Timeout = step.Timeout ?? 1800,
                        Retries = step.Retries ?? 0,
                        RetryDelay = step.RetryDelay ?? 1,
                        OnError = step.OnError ?? "stop",
                        Pty = step.Pty ?? false,
                        planned[place].Interpreter,
                        RunAs = runAs[place],
                        NodeSelector = NodeSelector.Form(step.Node),
                    }
            );
            await connection.ExecuteAsync(
                SaveSql,
                new { TempId = id, Steps = JsonSerializer.Serialize(rows, Json.Stored), caller.Username, caller.UserId },
                transaction
            );
            return [.. warnings, .. await Unfit(connection, steps)];
        }

        // An alias has no blanks around it, but one that is older than this rule may, and a step names it as it is.
        private static async Task<string[]> ExecUsers(
            NpgsqlConnection connection,
            NpgsqlTransaction transaction,
            IReadOnlyList<Step> steps,
            IReadOnlyList<StepRow> before
        )
        {
            var names = steps.Select(step => string.IsNullOrWhiteSpace(step.ExecUser) ? "root" : step.ExecUser).ToArray();
            var padded = names.Where(name => name != name.Trim()).Distinct(StringComparer.Ordinal).ToArray();
            if (padded.Length == 0) return names;
            var kept = before
                .Select(step => step.ExecUser)
                .Concat(await connection.QueryAsync<string>(AliasesSql, new { Names = padded }, transaction))
                .ToHashSet(StringComparer.Ordinal);
            return [.. names.Select(name => kept.Contains(name) ? name : name.Trim())];
        }

        private static async Task<List<Text>> Unfit(NpgsqlConnection connection, IReadOnlyList<Step> steps)
        {
            var found = new List<Text>();
            foreach (var node in steps.Select(step => NodeSelector.Form(step.Node)).Distinct(StringComparer.Ordinal))
                found.AddRange(await FittingNodes.Warnings(connection, NodeRoles.Orders, "node", node));
            return found;
        }

        private static async Task Replace(NpgsqlConnection connection, NpgsqlTransaction transaction, long id, IReadOnlyList<GroupProperties> groups)
        {
            await connection.ExecuteAsync(RemoveGroupsSql, new { TempId = id }, transaction);
            var rows = groups.Select(group =>
                new
                {
                    group.Group,
                    Batch = group.Batch ?? "",
                    BatchPause = group.BatchPause ?? 0,
                    MaxFailures = group.MaxFailures ?? 0,
                    Next = group.Next ?? "auto",
                }
            );
            await connection.ExecuteAsync(GroupsSql, new { TempId = id, Groups = JsonSerializer.Serialize(rows, Json.Stored) }, transaction);
        }
    }
}
