using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Host.Accounts;
using Codo.Platform.Http;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Host.Accounts;

/// <summary>Behind a proxy, so that each test has addresses of its own.</summary>
public sealed class AccountsHost(TestPostgres postgres) : HostFixture(postgres, ("Codo:KnownProxies", "127.0.0.1"));

/// <summary>What tests of accounts ask of a host again and again.</summary>
internal static class AccountsClient
{
    public const string Password = "correct horse battery";

    private static int addresses;

    /// <summary>An address that no other test has.</summary>
    public static string NewAddress()
    {
        var number = Interlocked.Increment(ref addresses);
        return $"198.18.{number / 250}.{number % 250 + 1}";
    }

    public static async Task Account(this TestHost host, string name, bool superuser = false, string password = Password)
    {
        await using var connection = await host.Source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        var hash = host.Services.GetRequiredService<Passwords>().Hash(password);
        (await OwnAccount.Add(connection, transaction, Caller.Codo, name, hash, superuser)).ShouldBeTrue();
        await transaction.CommitAsync();
    }

    public static async Task<(JsonObject Answer, HttpResponseMessage Response)> SignIn(
        this TestHost host,
        string username,
        string password = Password,
        string? address = null,
        string? otp = null,
        params (string Name, string Value)[] headers
    )
    {
        using var request = TestHost.Request(
            HttpMethod.Post,
            "/v2/accounts/login/",
            JsonSerializer.Serialize(
                new
                {
                    username,
                    password,
                    otp,
                }
            ),
            null
        );
        request.Headers.Add("X-Forwarded-For", address ?? NewAddress());
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        var response = await host.Http.SendAsync(request);
        return (JsonNode.Parse(await response.Content.ReadAsStringAsync())!.AsObject(), response);
    }

    /// <summary>Signs in, and answers the token.</summary>
    public static async Task<string> Token(this TestHost host, string username, string password = Password)
    {
        var (answer, response) = await host.SignIn(username, password);
        response.Dispose();
        return (string?)answer["auth_key"] ?? throw new InvalidOperationException(answer.ToJsonString());
    }

    /// <summary>Why a token is refused; null when it is good.</summary>
    public static async Task<string?> Reason(this TestHost host, string token, string? address = null)
    {
        using var request = TestHost.Request(HttpMethod.Get, "/v2/accounts/me/", null, token);
        request.Headers.TryAddWithoutValidation("Accept", "application/problem+json");
        if (address is not null) request.Headers.Add("X-Forwarded-For", address);
        using var response = await host.Http.SendAsync(request);
        return response.StatusCode == HttpStatusCode.OK ? null : (string)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["reason"]!;
    }

    public static string[] Cookies(this HttpResponseMessage response) =>
        response.Headers.TryGetValues("Set-Cookie", out var set) ? [.. set] : [];
}
