using Codo.Platform.Localization;

namespace Codo.Modules.Alerts.Rules;

/// <summary>Somebody who may be told. Approvers are known by id, owners of jobs by name alone.</summary>
internal sealed record Person(string Name, long? Id = null);

/// <summary>Something that went wrong, before any rule has looked at it.</summary>
/// <param name="Source"><c>job</c> or <c>order</c>.</param>
/// <param name="Kind">One of <see cref="Rules.Matching.Kinds"/>.</param>
/// <param name="Fingerprint">Source and subject; while an incident with it is open, the same again adds to it.</param>
/// <param name="Info">The original's line: <c>ID-{id} 任务-{name} 类型-{type}</c>.</param>
/// <param name="Detail">How, where, since when, a fact a line.</param>
internal sealed record AlertEvent(string Source, string Kind, string Fingerprint, string Info, Text Title, Text Detail)
{
    /// <summary>Job ids, or the order's type: what rules and silences are matched with.</summary>
    public IReadOnlyList<string> Subjects { get; init; } = [];

    /// <summary>Whose success ends it.</summary>
    public IReadOnlyList<string> Pending { get; init; } = [];

    public long? ListId { get; init; }

    public string Output { get; init; } = "";

    /// <summary>The number of the space of the job or order; 1, <c>default</c>, for Codo itself.</summary>
    public required long Space { get; init; }

    /// <summary>Failures in a row.</summary>
    public int Streak { get; init; } = 1;

    /// <summary>How long it has been waiting or running.</summary>
    public TimeSpan Lasted { get; init; }

    /// <summary>Those whose job or order it is.</summary>
    public IReadOnlyList<Person> People { get; init; } = [];

    /// <summary>Whether a part of it is nobody's, so that the rule's own people are told as well.</summary>
    public bool Orphaned { get; init; }

    /// <summary>Somebody is asked to do something: it is told at once, whatever time a rule allows to pass.</summary>
    public bool AsksNow { get; init; }

    /// <summary>Told once more, though people were told a short while ago.</summary>
    public bool Again { get; init; }

    /// <summary>Found again by a sweep, not happened again: it is not counted.</summary>
    public bool Continues { get; init; }
}
