using Codo.Modules.Tasks.Execution;
using Codo.Platform.Http;

namespace Codo.Modules.Tasks.Orders;

/// <summary>How a group of a template goes over its hosts.</summary>
internal sealed record TemplateGroup(int Group, string Batch, int BatchPause, int MaxFailures, string Next);

/// <summary>A template with everything that an order copies from it.</summary>
/// <param name="Declared">Words that orders may replace, beside those that the library names.</param>
internal sealed record Template(
    long TempId,
    string TempName,
    IReadOnlyList<string> Declared,
    IReadOnlyList<TemplateStep> Steps,
    IReadOnlyList<TemplateGroup> Groups,
    IReadOnlyList<(long UserId, string Nickname)> Users,
    long SpaceId
);

/// <summary>What an order is going to run where: made by accept and preview alike, before anything is stored.</summary>
internal sealed record OrderPlan(Template Template, IReadOnlyList<PlannedGroup> Groups)
{
    public IEnumerable<TemplateStep> Steps => Groups.SelectMany(group => group.Steps);

    public bool HasTimed => Steps.Any(step => step.Trigger == "timed");

    /// <summary>What the order shows before anything has run: the most pressing first step of its first group.</summary>
    public StepState FirstStatus => StepStates.First(Groups[0].Steps[0].Trigger);

    /// <summary>Puts hosts and steps together.</summary>
    /// <param name="hosts">By group.</param>
    /// <exception cref="Refusal">A group without hosts, or with too many.</exception>
    public static OrderPlan Make(Template template, IReadOnlyDictionary<int, IReadOnlyList<string>> hosts, TaskSettings settings)
    {
        var groups = new List<PlannedGroup>();
        foreach (var steps in template.Steps.GroupBy(step => step.Group).OrderBy(group => group.Key))
        {
            if (!hosts.TryGetValue(steps.Key, out var own) || own.Count == 0)
                throw Refusal.Invalid("The exec host cannot be empty", $"The exec host cannot be empty: group {steps.Key} has none", -4);
            if (own.Count > settings.MaxHostsPerGroup)
                throw Refusal.Invalid(
                    "Too many hosts, please execute in groups",
                    $"Too many hosts, please execute in groups: group {steps.Key} has {own.Count}, {settings.MaxHostsPerGroup} at most",
                    -4
                );
            var how = template.Groups.FirstOrDefault(group => group.Group == steps.Key) ?? new TemplateGroup(steps.Key, "", 0, 0, "auto");
            // A batch that the template's own check let pass is always read; all hosts at once otherwise.
            var batches = (BatchSize.TryParse(how.Batch, out var size, out _) ? size : BatchSize.All).Batches(own.Count);
            groups.Add(
                new PlannedGroup(
                    steps.Key,
                    [.. own.Select((host, position) => new PlannedLane(host, 1 + batches[position]))],
                    [.. steps],
                    1 + batches[^1],
                    how.BatchPause,
                    how.MaxFailures,
                    how.Next == "confirm"
                )
            );
        }
        return new OrderPlan(template, groups);
    }
}
