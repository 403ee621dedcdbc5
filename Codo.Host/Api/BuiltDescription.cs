using System.Security.Cryptography;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.Net.Http.Headers;
using Microsoft.OpenApi;

namespace Codo.Host.Api;

/// <summary>The description as bytes, built at the first request: building it takes a tenth of a second of a core, and anybody may ask for it.</summary>
internal sealed class BuiltDescription(IServiceProvider services)
{
    private readonly Lazy<Task<(byte[] Json, string Tag)>> built = new(() => Task.Run(() => Build(services)));

    public async Task Answer(HttpContext context)
    {
        if (!string.Equals((string?)context.Request.RouteValues["documentName"], "v1", StringComparison.Ordinal))
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        var (json, tag) = await built.Value;
        context.Response.Headers.ETag = tag;
        // Asked again each time, and answered with 304: a new version must not hide behind an old description.
        context.Response.Headers.CacheControl = "no-cache";
        if (context.Request.GetTypedHeaders().IfNoneMatch.Any(known => known.Compare(new EntityTagHeaderValue(tag), useStrongComparison: false)))
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }

        context.Response.ContentType = "application/json; charset=utf-8";
        context.Response.ContentLength = json.Length;
        await context.Response.Body.WriteAsync(json, context.RequestAborted);
    }

    private static async Task<(byte[] Json, string Tag)> Build(IServiceProvider services)
    {
        await using var scope = services.CreateAsyncScope();
        // Descriptions are read in English, whoever's request comes first.
        Language.English = true;
        var document = await scope.ServiceProvider.GetRequiredKeyedService<IOpenApiDocumentProvider>("v1").GetOpenApiDocumentAsync();
        using var text = new MemoryStream();
        await document.SerializeAsJsonAsync(text, OpenApiSpecVersion.OpenApi3_1);
        var json = text.ToArray();
        return (json, $"\"{Convert.ToHexStringLower(SHA256.HashData(json))[..32]}\"");
    }
}
