namespace Codo.Host;

/// <summary>The paths that the original's clients ask for, made into the ones that routes are declared with.</summary>
internal static class LegacyPathPrefixes
{
    private static readonly string[] Prefixes = ["/api/cron", "/api/task", "/cron", "/task"];

    /// <summary>Repeated slashes count as one, and the gateway's prefixes are taken off.</summary>
    public static string Normalise(string path)
    {
        if (path.Contains("//", StringComparison.Ordinal))
            path = string.Join('/', path.Split('/').Where((piece, place) => place == 0 || piece.Length > 0)) + (path.EndsWith('/') ? "/" : "");
        foreach (var prefix in Prefixes)
            if (path.StartsWith(prefix, StringComparison.Ordinal) && (path.Length == prefix.Length || path[prefix.Length] == '/'))
                return path.Length == prefix.Length ? "/" : path[prefix.Length..];
        return path.Length == 0 ? "/" : path;
    }

    /// <summary>Stands before routing.</summary>
    public static IApplicationBuilder UseLegacyPathPrefixes(this IApplicationBuilder app) => app.Use((HttpContext context, RequestDelegate next) =>
    {
        context.Request.Path = Normalise(context.Request.Path.Value ?? "/");
        return next(context);
    });
}
