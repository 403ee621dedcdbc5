using Codo.Platform.Http;
using Microsoft.AspNetCore.Http;

namespace Codo.Platform.Ui;

/// <summary>What stands in place of a page to which the caller has no right: what is missing, and who can grant it.</summary>
public sealed partial class RefusedPage
{
    /// <inheritdoc/>
    protected override Task Load()
    {
        var reason = Context.GetEndpoint()?.Metadata.GetMetadata<Right>() is { } right ? MayNot(right) : null;
        throw Refusal.Forbidden(reason ?? "没有权限", reason ?? "Not allowed");
    }
}
