using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using FluentValidation;
using MediatR;
using Npgsql;

namespace Codo.Modules.Tasks.Risks;

/// <summary>What the high-risk rules say to a command; a pattern that is sent along is tried beside them. Nothing is stored.</summary>
internal static class TestRisk
{
    /// <param name="Cmd">As the shell would get it.</param>
    internal sealed record Command(string? Cmd, string? Kind, string? Pattern) : IRequest<Result>;

    internal sealed record Hit(long RuleId, string Name, string Action, Text Reason);

    /// <param name="Commands">The simple commands of the line, as rules see them.</param>
    /// <param name="Matches">Whether the pattern that was sent finds something; null when none was sent.</param>
    internal sealed record Data(IReadOnlyList<Hit> Hits, IReadOnlyList<string> Commands, bool? Matches);

    internal sealed record Result(Data Data) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator()
        {
            RuleFor(command => command.Cmd).Must(cmd => !string.IsNullOrWhiteSpace(cmd)).Refuse("cmd 不能为空", "cmd is missing");
            RuleFor(command => command.Cmd).AtMost(100_000, "cmd");
            RuleFor(command => command.Kind).OneOf("kind", "regex", "words");
            RuleFor(command => command.Pattern).AtMost(RiskRule.MostPattern, "pattern");
        }
    }

    internal sealed class Handler(NpgsqlDataSource source, RiskRules rules) : IRequestHandler<Command, Result>
    {
        // Any token may send a line that is long to read, and a pattern that takes 80 MB and half a second while its automaton is built.
        private static readonly SemaphoreSlim OneAtATime = new(1);

        // Bytes that one trial may leave to the collector, which on a busy machine let those of twenty come to a gigabyte.
        private const long MuchGarbage = 32 << 20;

        public async Task<Result> Handle(Command command, CancellationToken cancellationToken)
        {
            RiskRuleSet set;
            await using (var connection = await source.OpenConnectionAsync(cancellationToken)) set = await rules.Read(connection);
            await OneAtATime.WaitAsync(cancellationToken);
            try
            {
                var before = GC.GetAllocatedBytesForCurrentThread();
                var data = Try(set, command);
                if (GC.GetAllocatedBytesForCurrentThread() - before > MuchGarbage) GC.Collect();
                return new Result(data);
            }
            finally
            {
                OneAtATime.Release();
            }
        }

        private static Data Try(RiskRuleSet set, Command command)
        {
            var line = CommandForm.Clean(command.Cmd!);
            var commands = SimpleCommands.Of(line, null, out var isWhole);
            RiskRule? tried = null;
            if (
                !string.IsNullOrWhiteSpace(command.Pattern)
                && !RiskRule.TryMake(0, "-", command.Kind ?? "regex", command.Pattern, "warn", default, out tried, out var why)
            )
                throw new Refusal(-1, why);
            // As the rules that are saved: what could not be looked at counts as found.
            return new Data([.. set.Check(line).Select(Show)], commands, tried is null ? null : !isWhole || tried.Finds(line, commands));
        }

        private static Hit Show(RiskHit hit) => new(hit.RuleId, hit.Name, StepRisk.WordOf(hit.Action), hit.Reason);
    }
}
