using System.Net;
using Codo.Tests.Support;

namespace Codo.Tests.Host;

public sealed class GateTests(TestPostgres postgres)
{
    [Fact]
    public async Task An_unknown_path_is_404_in_the_contracts_form_and_the_dashboard_needs_a_superuser()
    {
        await using var host = await TestHost.Start(postgres);
        (await host.Get("/nowhere/"))["code"]!.GetValue<int>().ShouldBe(404);
        using var none = await host.Http.GetAsync("/hangfire");
        none.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        (await host.Get("/hangfire", TestTokens.For(5, "somebody")))["code"]!.GetValue<int>().ShouldBe(403);
        using var dashboard = await host.Http.SendAsync(TestHost.Request(HttpMethod.Get, "/hangfire", null, TestTokens.Admin));
        dashboard.StatusCode.ShouldBe(HttpStatusCode.OK);
    }
}
