using System.Text.Json;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using MediatR;
using Microsoft.AspNetCore.Http;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Makes an order from a template.</summary>
internal static class AcceptOrder
{
    /// <param name="Hosts">By group; an object, JSON text or a Python literal.</param>
    /// <param name="Args">The same kinds.</param>
    /// <param name="AssociatedUser">The same kinds: names, by a key of the sender's own.</param>
    /// <param name="Hold">The whole order waits for <paramref name="ExecTime"/>, not only its timed steps.</param>
    /// <param name="StartDelay">Seconds.</param>
    internal sealed record Command(
        string? TaskName,
        long? TempId,
        JsonElement? Hosts,
        JsonElement? Args,
        string? Details,
        string? Submitter,
        string? Executor,
        JsonElement? AssociatedUser,
        string? Schedule,
        string? ExecTime,
        string? TaskType,
        bool? Hold,
        int? StartDelay
    ) : IRequest<Result>;

    /// <param name="PlanSha256">Of what will run: an approval is of this, and the start compares it.</param>
    /// <param name="ApprovalsMissing">Approvals that it needs before it starts; 0 where it needs none.</param>
    internal sealed record Result(long ListId, string PlanSha256, int ApprovalsMissing, IReadOnlyList<Text> Warnings)
        : Answer(new Text($"Task creation success, ID：{ListId}", $"Task creation success, ID: {ListId}"));

    internal sealed class Handler(Acceptance acceptance, IHttpContextAccessor http) : IRequestHandler<Command, Result>
    {
        public Task<Result> Handle(Command command, CancellationToken cancellationToken) =>
            acceptance.Accept(command, IdempotencyKey.Of(http.HttpContext), cancellationToken);
    }
}
