using Codo.Platform.Security;

namespace Codo.Tests.Platform.Security;

public sealed class SecretNamesTests
{
    [Theory]
    [InlineData("amqp://rabbit:geheim@mq.example.test/vhost", "geheim")]
    [InlineData("redis://:geheim@cache:6379", "geheim")]
    [InlineData("smtp://bot@corp.com:geheim@smtp.corp.com:587", "geheim")]
    [InlineData("https://u:ge@heim:1@host/a", "ge@heim:1")]
    [InlineData("https://u@corp.com:ge@heim@host", "ge@heim")]
    [InlineData("https://u:ge%40heim@host", "ge%40heim|ge@heim")]
    [InlineData("a://u:one@h, b://v@w:two@h", "one|two")]
    [InlineData("http://u@host:8080/x@y", "")]
    [InlineData("http://host:8080/?mail=a@b", "")]
    [InlineData("http://u@[::1]:80/@x", "")]
    [InlineData("http://u@host/a:b@c", "")]
    [InlineData("u:p@host", "")]
    public void The_passwords_of_urls_are_found_whatever_the_name_before_them(string value, string passwords) =>
        string.Join('|', SecretNames.Passwords(value)).ShouldBe(passwords);
}
