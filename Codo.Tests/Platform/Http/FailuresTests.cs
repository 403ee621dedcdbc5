using Codo.Platform.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Codo.Tests.Platform.Http;

public sealed class FailuresTests
{
    [Fact]
    public async Task An_answer_that_fails_on_its_way_does_not_end_as_a_whole_one()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        await using var app = builder.Build();
        app.UseFailures();
        app.Run(Break);
        await app.StartAsync(TestContext.Current.CancellationToken);
        using var http = new HttpClient();
        await Should.ThrowAsync<HttpRequestException>(() => http.GetAsync(app.Urls.First(), TestContext.Current.CancellationToken));
    }

    private static async Task Break(HttpContext context)
    {
        await context.Response.Body.WriteAsync(new byte[20_000]);
        await context.Response.Body.FlushAsync();
        throw new InvalidOperationException("What comes next cannot be read.");
    }
}
