using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace Codo.Host.Api;

/// <summary>
/// The policy of the reader at <c>/docs</c>. Its page starts itself with a script in the page, which is let run by its hash: nothing else that finds its way
/// into the page is.
/// </summary>
internal static partial class DocsPolicy
{
    /// <summary>Adds the policy to what the routes answer.</summary>
    public static TBuilder WithDocsPolicy<TBuilder>(this TBuilder routes) where TBuilder : IEndpointConventionBuilder
    {
        routes.Finally(route =>
        {
            var serve = route.RequestDelegate!;
            route.RequestDelegate = context => Serve(context, serve);
        });
        return routes;
    }

    private static async Task Serve(HttpContext context, RequestDelegate serve)
    {
        // The page is 1 KiB; the library beside it is megabytes, and goes out as it comes.
        if (context.Request.Path.Value?.EndsWith(".js", StringComparison.Ordinal) != false)
        {
            await serve(context);
            return;
        }

        var body = context.Response.Body;
        using var page = new MemoryStream();
        context.Response.Body = page;
        try
        {
            await serve(context);
        }
        finally
        {
            context.Response.Body = body;
        }

        context.Response.Headers.ContentSecurityPolicy = Policy(Encoding.UTF8.GetString(page.ToArray()));
        if (page.Length > 0) await body.WriteAsync(page.ToArray(), context.RequestAborted);
    }

    private static string Policy(string page)
    {
        var scripts = string.Concat(
            InPage().Matches(page).Select(script => $" 'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(script.Groups[1].Value)))}'")
        );
        return ($"default-src 'self'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
            + $"connect-src 'self'; worker-src 'self' blob:; ")
            + "object-src 'none'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'";
    }

    [GeneratedRegex("<script(?![^>]*src=)[^>]*>(.*?)</script>", RegexOptions.Singleline | RegexOptions.CultureInvariant)]
    private static partial Regex InPage();
}
