using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;

namespace Codo.Modules.Cron.Executions;

/// <summary>What the high-risk rules say to a job's command.</summary>
/// <param name="Hits">The most severe first.</param>
/// <param name="Digest">Of the command as its shell gets it; empty when nothing needs a second person.</param>
internal sealed record JobRisk(IReadOnlyList<RiskHit> Hits, string Digest)
{
    public RiskHit? Block => Hits.FirstOrDefault(hit => hit.Action == RiskAction.Block);

    public RiskHit? Second => Hits.FirstOrDefault(hit => hit.Action == RiskAction.Approve);

    public bool NeedsSecond(string released) => Second is not null && released != Digest;

    public Text BlockCause => Sentence(Block!, "，已禁止执行", " and is blocked");

    public Text SecondCause => Sentence(Second!, "，需要另一人放行", ": it needs a second person to release it");

    public IEnumerable<Text> Warnings => Hits.Where(hit => hit.Action == RiskAction.Warn).Select(hit => Sentence(hit, "", ""));

    /// <summary>As it is kept with the job.</summary>
    public string Stored =>
        JsonSerializer.Serialize(
            Hits.Select(hit => new
            {
                hit.RuleId,
                hit.Name,
                Action = hit.Action.ToString().ToLowerInvariant(),
                ReasonZh = hit.Reason.Zh,
                ReasonEn = hit.Reason.En,
            }),
            Json.Stored
        );

    public static JobRisk Of(RiskRuleSet rules, string cmd, string interpreter, Func<IReadOnlyDictionary<string, string>?> variables)
    {
        var line = CommandForm.With(interpreter, cmd);
        // Opening a job's environment costs more than all the rules.
        var hits = rules.Check(line, line.Contains('$', StringComparison.Ordinal) ? variables() : null);
        return new JobRisk(hits, hits.Any(hit => hit.Action == RiskAction.Approve) ? DigestOf(line) : "");
    }

    /// <summary>What is left of a release when a job's variables change: nothing, unless it was given to this very command and none of them is in it.</summary>
    public static string Kept(string released, string cmd, string interpreter) =>
        CommandForm.With(interpreter, cmd) is var line && !line.Contains('$', StringComparison.Ordinal) && DigestOf(line) == released ? released : "";

    private static string DigestOf(string line) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(line)));

    /// <exception cref="Refusal">A rule blocks the command.</exception>
    public void Demand()
    {
        if (Block is not null) throw new Refusal(-2, BlockCause, RefusalKind.Forbidden);
    }

    private static Text Sentence(RiskHit hit, string zh, string en) => new($"命令命中{hit.Rule.Zh}{zh}", $"The command meets {hit.Rule.En}{en}");
}
