using System.Reflection;
using System.Text.Encodings.Web;
using System.Text.Unicode;
using Codo.Platform.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Platform.Ui;

/// <summary>How a module lists its pages, and what the kit itself serves.</summary>
public static class PageRoutes
{
    /// <summary>Only the host's own files, no script or style in a page, framed by nobody.</summary>
    public const string Policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; "
        + "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

    /// <summary>The kit's services.</summary>
    public static IServiceCollection AddPages(this IServiceCollection services)
    {
        services.AddRazorComponents();
        // Chinese goes out as it is and not as numbers, at half the bytes.
        services.AddSingleton(HtmlEncoder.Create(UnicodeRanges.All));
        return services.AddSingleton<LiveTopics>().AddSingleton(new AssetSource(typeof(PageRoutes).Assembly)).AddSingleton<Assets>();
    }

    /// <summary>A page, its component rendered on the server.</summary>
    /// <param name="right">Any token that may see where it is null; handlers decide the rest.</param>
    public static IEndpointConventionBuilder MapPage<TPage>(this IEndpointRouteBuilder routes, string path, Right? right = null)
        where TPage : Page =>
        routes
            .MapGet(path, (RequestDelegate)(context => Render<TPage>(context).ExecuteAsync(context)))
            .Needs(right ?? Right.Own(Verbs.See))
            .WithMetadata(new PagePolicy(Policy), IsPage.Instance)
            .ExcludeFromDescription();

    /// <summary>Renders a page for a request that another route serves.</summary>
    public static IResult Render<TPage>(HttpContext context)
        where TPage : Page
    {
        context.Response.Headers.ContentSecurityPolicy = Policy;
        return new RazorComponentResult<TPage>(new Dictionary<string, object?> { [nameof(Page.Context)] = context }) { PreventStreamingRendering = true };
    }

    /// <summary>The stream of changes, the assets, and in development the page of the kit.</summary>
    public static void MapPages(this IEndpointRouteBuilder routes, bool isDevelopment)
    {
        routes
            .MapGet("/v2/stream/", (Delegate)LiveStream.Handle)
            .WithSummary("What changes, as server-sent events")
            .WithDescription(LiveStream.Description)
            .Needs(Right.Own(Verbs.See))
            .WithMetadata(new TakesQuery("topics", "known"));
        routes.MapGet("/assets/{version}/{name}", (Delegate)Assets.Handle).Needs(Right.Anybody).WithMetadata(new PagePolicy(Policy)).ExcludeFromDescription();
        if (isDevelopment) routes.MapPage<KitPage>("/kit");
    }
}

/// <summary>Marks the route of a page of the console.</summary>
public sealed class IsPage
{
    public static readonly IsPage Instance = new();

    private IsPage()
    {
    }
}

/// <summary>An assembly whose embedded <c>assets/…</c> belong to the console.</summary>
public sealed record AssetSource(Assembly Assembly);
