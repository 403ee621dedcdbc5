using Codo.Platform.Events;

namespace Codo.Modules.Tasks.Execution;

/// <summary>The people of an order whose ids are known: those who may approve it, its watchers, its submitter.</summary>
internal static class OrderPeople
{
    public static IReadOnlyList<Approver> Of(
        long[] approverIds,
        string[] approverNames,
        long[] watcherIds,
        string[] watcherNames,
        long? creatorId,
        string creator
    ) =>
        approverIds
            .Zip(approverNames)
            .Concat(watcherIds.Zip(watcherNames))
            .Concat(creatorId is { } id ? [(id, creator)] : [])
            .DistinctBy(person => person.First)
            .Select(person => new Approver(person.First, person.Second))
            .ToList();
}
