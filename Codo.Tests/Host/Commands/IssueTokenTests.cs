using Codo.Host.Accounts;
using Codo.Host.Auth;
using Codo.Host.Commands;
using Codo.Host.LocalServices;
using Codo.Platform.Security;
using Codo.Tests.Support;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.IdentityModel.JsonWebTokens;
using Npgsql;

namespace Codo.Tests.Host.Commands;

public sealed class IssueTokenTests
{
    [Fact]
    public async Task Without_the_secret_of_a_host_no_token_is_printed()
    {
        using var folder = new TestFolder();
        var (exitCode, output, errors) = await HostProcess.Run(["token", "--user", "me"], environment: ("Codo__DataDirectory", folder.At("codo")));
        (exitCode, output).ShouldBe((2, ""));
        errors.ShouldContain($"There is no secret in {folder.At("codo")}");
        Directory.Exists(folder.At("codo")).ShouldBeFalse();

        // A host whose secret is set was started here after one whose secret was generated.
        GeneratedSecrets.Kept(folder.At("codo/secrets"), "token-secret");
        GeneratedSecrets.NoteInUse(folder.At("codo"), new string('s', 40));
        (exitCode, output, errors) = await HostProcess.Run(["token", "--user", "me"], environment: ("Codo__DataDirectory", folder.At("codo")));
        (exitCode, output).ShouldBe((2, ""));
        errors.ShouldContain("runs with another token secret");
        (exitCode, output, errors) = await HostProcess.Run(
            ["token", "--user", "me"],
            environment: [("Codo__DataDirectory", folder.At("codo")), ("Codo__Auth__TokenSecret", new string('s', 40))]
        );
        (exitCode, errors, output.Length > 100).ShouldBe((0, "", true));
        File.ReadAllText(folder.At("codo/secrets/token-secret.in-use")).ShouldNotContain("sss");
    }

    [Fact]
    public async Task A_token_that_the_command_prints_is_good_for_the_host_of_that_directory()
    {
        using var folder = new TestFolder();
        GeneratedSecrets.Kept(folder.At("codo/secrets"), "token-secret");
        var (exitCode, output, errors) = await HostProcess.Run(
            ["token", "--user", "王伟", "--superuser", "--days", "2"],
            environment: ("Codo__DataDirectory", folder.At("codo"))
        );
        exitCode.ShouldBe(0, errors);

        var secret = (await File.ReadAllTextAsync(folder.At("codo/secrets/token-secret"))).Trim();
        // Nothing is revoked, and no database is asked.
        await using var none = NpgsqlDataSource.Create("Host=/nowhere");
        var settings = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?> { ["Codo:Auth:TokenSecret"] = secret }).Build();
        var access = new AccessTokens(
            none,
            new SecretBox(new Dictionary<int, string> { [1] = secret }, 1),
            TimeProvider.System,
            NullLogger<AccessTokens>.Instance
        );
        using var revocations = new Revocations(none, access);
        var tokens = new Tokens(new SigningKeys(settings), TimeProvider.System, revocations, access);
        var (caller, reason) = await tokens.Read(new DefaultHttpContext(), output.Trim());

        reason.ShouldBe("");
        caller!.UserId.ShouldBe(IssueToken.UserId("王伟"));
        caller.Username.ShouldBe("王伟");
        caller.Nickname.ShouldBe("王伟");
        caller.IsSuperuser.ShouldBeTrue();
    }

    [Fact]
    public void The_payload_is_the_contracts()
    {
        var now = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000);
        var token = new JsonWebToken(IssueToken.Sign(new string('s', 32), "me", superuser: false, TimeSpan.FromDays(30), now));

        token.Alg.ShouldBe("HS256");
        token.Issuer.ShouldBe("auth: ss");
        token.Subject.ShouldBe("my token");
        token.GetPayloadValue<long>("nbf").ShouldBe(1_800_000_000);
        token.GetPayloadValue<long>("iat").ShouldBe(1_800_000_000);
        token.GetPayloadValue<long>("exp").ShouldBe(1_800_000_000 + (30 * 86_400));
        token.Id.Length.ShouldBe(32);
        token.GetPayloadValue<System.Text.Json.JsonElement>("data").GetRawText()
            .ShouldBe($$"""{"user_id":{{IssueToken.UserId("me")}},"username":"me","nickname":"me","email":"","is_superuser":false}""");
    }

    [Fact]
    public void A_name_is_always_the_same_user_and_no_other_name_is()
    {
        IssueToken.UserId("me").ShouldBe(IssueToken.UserId("me"));
        IssueToken.UserId("me").ShouldNotBe(IssueToken.UserId("Me"));
        IssueToken.UserId("me").ShouldBeInRange(1_000_000_000, 1_000_000_000 + (1L << 40));
        // Tokens of an earlier version stay good for what their user made.
        IssueToken.UserId("me").ShouldBe(169_657_998_092);
    }
}
