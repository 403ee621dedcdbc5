using Codo.Host.LocalServices;
using Codo.Tests.Support;
using Microsoft.Extensions.Configuration;

namespace Codo.Tests.Host.LocalServices;

public sealed class GeneratedSecretsTests
{
    [Fact]
    public async Task Of_many_that_make_a_secret_at_once_one_wins_and_all_get_the_same()
    {
        using var folder = new TestFolder();
        using var start = new Barrier(16);
        var made = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Factory.StartNew(
            () =>
            {
                start.SignalAndWait();
                return GeneratedSecrets.Kept(folder.At("secrets"), "master-key");
            },
            TaskCreationOptions.LongRunning)));

        made.Distinct().Count().ShouldBe(1);
        made[0].Length.ShouldBeGreaterThanOrEqualTo(32);
        Directory.GetFiles(folder.At("secrets")).ShouldBe([folder.At("secrets/master-key")]);
        File.GetUnixFileMode(folder.At("secrets/master-key")).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.GetUnixFileMode(folder.At("secrets")).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    [Fact]
    public void The_two_secrets_differ_and_stay()
    {
        using var folder = new TestFolder();
        var (token, key) = (Resolve(folder, GeneratedSecrets.TokenSecret), Resolve(folder, GeneratedSecrets.MasterKey));

        token.ShouldNotBe(key);
        Resolve(folder, GeneratedSecrets.TokenSecret).ShouldBe(token);
        Resolve(folder, GeneratedSecrets.MasterKey).ShouldBe(key);
    }

    [Fact]
    public void A_secret_that_the_operator_set_wins_and_is_not_kept()
    {
        using var folder = new TestFolder();
        var set = new string('s', 32);

        Resolve(folder, GeneratedSecrets.MasterKey, (GeneratedSecrets.MasterKey, set)).ShouldBe(set);

        Directory.Exists(folder.At("secrets")).ShouldBeFalse();
    }

    [Theory]
    [InlineData("Codo:Auth:TokenSecret", "Codo__Auth__TokenSecret")]
    [InlineData("Codo:MasterKey", "Codo__MasterKey")]
    public void A_secret_shorter_than_32_bytes_is_refused_by_its_name(string key, string named)
    {
        using var folder = new TestFolder();
        Should.Throw<StartRefused>(() => Resolve(folder, key, (key, new string('s', 31)))).Message.ShouldStartWith($"{named} is shorter than 32 bytes.");
    }

    [Fact]
    public void A_secret_is_measured_in_bytes()
    {
        using var folder = new TestFolder();
        Resolve(folder, GeneratedSecrets.MasterKey, (GeneratedSecrets.MasterKey, "十一个汉字就有三十三字")).ShouldBe("十一个汉字就有三十三字");
    }

    [Fact]
    public void A_damaged_file_is_refused_and_left_alone()
    {
        using var folder = new TestFolder();
        Directory.CreateDirectory(folder.At("secrets"));
        File.WriteAllText(folder.At("secrets/master-key"), "");

        Should.Throw<StartRefused>(() => Resolve(folder, GeneratedSecrets.MasterKey)).Message.ShouldContain(folder.At("secrets/master-key"));
        File.ReadAllText(folder.At("secrets/master-key")).ShouldBe("");
    }

    private static string Resolve(TestFolder folder, string key, params (string Name, string Value)[] settings) =>
        GeneratedSecrets.Resolve(
            new ConfigurationBuilder().AddInMemoryCollection(settings.ToDictionary(setting => setting.Name, setting => (string?)setting.Value)).Build(),
            key,
            folder.Path
        );
}
