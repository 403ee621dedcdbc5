using System.Diagnostics;
using Codo.Modules.Tasks.Hosts;
using Codo.Modules.Tasks.Orders;
using Codo.Platform.Security;
using CsCheck;

namespace Codo.Tests.Modules.Tasks.Hosts;

public sealed class HostListTests
{
    [Theory]
    [InlineData(null, "")]
    [InlineData("", "")]
    [InlineData(" , ,, ", "")]
    [InlineData("10.0.0.1", "10.0.0.1")]
    [InlineData("10.0.0.2,10.0.0.1", "10.0.0.2|10.0.0.1")]
    [InlineData(" 10.0.0.2 ,\t10.0.0.1,\n10.0.0.2,", "10.0.0.2|10.0.0.1")]
    [InlineData("0.0.0.0,255.255.255.255", "0.0.0.0|255.255.255.255")]
    [InlineData("web1,WEB1,Web1.example.COM", "web1|Web1.example.COM")]
    [InlineData("a,1a,a1,a-b,3com.net,a.b.c.d.e", "a|1a|a1|a-b|3com.net|a.b.c.d.e")]
    [InlineData("10.0.0.1.example", "10.0.0.1.example")]
    [InlineData("xn--fiq228c.cn", "xn--fiq228c.cn")]
    [InlineData("::1,0:0:0:0:0:0:0:1,2001:DB8::0001", "::1|2001:db8::1")]
    [InlineData("fe80::1,::ffff:10.0.0.1", "fe80::1|::ffff:10.0.0.1")]
    public void Keeps_each_host_once_in_order(string? text, string expected)
    {
        HostList.TryParse(text, out var hosts, out _).ShouldBeTrue();
        string.Join('|', hosts).ShouldBe(expected);
    }

    [Theory]
    [InlineData("127.0.0.1; touch x")]
    [InlineData("10.0.0.1 10.0.0.2")]
    [InlineData("10.0.0.1;10.0.0.2")]
    [InlineData("10.0.0.1，10.0.0.2")]
    [InlineData("10.0.0.256")]
    [InlineData("10.0.0")]
    [InlineData("10")]
    [InlineData("10.0.0.0.1")]
    [InlineData("010.0.0.1")]
    [InlineData("10.0.0.01")]
    [InlineData("10.0.0.1.")]
    [InlineData("0x7f.1")]
    [InlineData("0x7f000001")]
    [InlineData("a.0x1")]
    [InlineData("1.2.3.４")]
    [InlineData("10.0.0.1/24")]
    [InlineData("10.0.0.1:22")]
    [InlineData("user@host")]
    [InlineData("-oProxyCommand=x")]
    [InlineData("-a")]
    [InlineData("a-")]
    [InlineData("a_b")]
    [InlineData("a..b")]
    [InlineData(".a")]
    [InlineData("a.")]
    [InlineData("*")]
    [InlineData("$(id)")]
    [InlineData("`id`")]
    [InlineData("a'b")]
    [InlineData("主机")]
    [InlineData("a\nb")]
    [InlineData(":")]
    [InlineData(":::")]
    [InlineData("1:2:3")]
    [InlineData("fe80::1%eth0")]
    [InlineData("fe80::1%1")]
    [InlineData("[::1]")]
    [InlineData("::1/128")]
    [InlineData("::g")]
    [InlineData("::ffff:10.0.0.256")]
    [InlineData("http://a")]
    public void Refuses_what_is_no_host_and_says_which(string entry)
    {
        HostList.TryParse("web1, " + entry + " ,web2", out var hosts, out var wrong).ShouldBeFalse();
        hosts.ShouldBeEmpty();
        wrong.ShouldBe(entry);
    }

    [Fact]
    public void Refuses_names_past_their_limits_in_bounded_time()
    {
        var label = new string('a', 63);
        HostList.TryParse(label, out _, out _).ShouldBeTrue();
        HostList.TryParse(label + "a", out _, out _).ShouldBeFalse();
        HostList.TryParse($"{label}.{label}.{label}.{label[..61]}", out _, out _).ShouldBeTrue();
        HostList.TryParse($"{label}.{label}.{label}.{label[..62]}", out _, out var wrong).ShouldBeFalse();
        wrong.Length.ShouldBe(100);

        var watch = Stopwatch.StartNew();
        foreach (var piece in new[] { ",", "a.", ":", "1,", "a", " " })
            _ = HostList.TryParse(string.Concat(Enumerable.Repeat(piece, 1 << 19)), out _, out _);
        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(15));
    }

    [Fact]
    public void A_list_that_was_read_is_read_again_as_the_same() =>
        Gen.OneOf(
                Gen.String[Gen.Char["abf019.:-, %xX\t;$"], 0, 40],
                Gen.Int[0, 300].Array[4].Select(bytes => string.Join('.', bytes)),
                Gen.UShort.Array[8]
                    .Select(groups => string.Join(':', groups.Select(group => group.ToString("x", System.Globalization.CultureInfo.InvariantCulture))))
            )
            .Sample(
                text =>
                {
                    if (!HostList.TryParse(text, out var hosts, out _))
                        return;
                    HostList.TryParse(string.Join(',', hosts), out var again, out _).ShouldBeTrue();
                    again.ShouldBe(hosts);
                    hosts.Distinct(StringComparer.OrdinalIgnoreCase).Count().ShouldBe(hosts.Count);
                    hosts.All(host => host.All(character => char.IsAsciiLetterOrDigit(character) || character is '.' or ':' or '-')).ShouldBeTrue(text);
                },
                iter: 5_000
            );

    [Theory]
    [InlineData("DB_PASSWORD", true)]
    [InlineData("password", true)]
    [InlineData("myPasswdHash", true)]
    [InlineData("ClientSecret", true)]
    [InlineData("TOKEN", true)]
    [InlineData("GIT_TOKEN_OLD", true)]
    [InlineData("API_KEY", true)]
    [InlineData("api_key", true)]
    [InlineData("_KEY", true)]
    [InlineData("KEY", false)]
    [InlineData("API_KEY_NAME", false)]
    [InlineData("APIKEY", false)]
    [InlineData("PASS", true)]
    [InlineData("SMTP_PASS", true)]
    [InlineData("DB_PWD", true)]
    [InlineData("PWD", false)]
    [InlineData("GIT_CREDENTIALS", true)]
    [InlineData("SENTRY_DSN", true)]
    [InlineData("DATABASE_URL", true)]
    [InlineData("PUBLIC_URL", false)]
    [InlineData("VERSION", false)]
    [InlineData("", false)]
    public void Knows_secret_arguments_by_their_names(string name, bool secret) => new SecretNames(SecretNames.Default).Match(name).ShouldBe(secret);

    [Theory]
    [InlineData("*", "", true)]
    [InlineData("**", "x", true)]
    [InlineData("", "", true)]
    [InlineData("", "x", false)]
    [InlineData("a*b*c", "aXbYc", true)]
    [InlineData("a*b*c", "abcabc", true)]
    [InlineData("a*b*c", "abcab", false)]
    [InlineData("*aab", "aaab", true)]
    [InlineData("A.C", "abc", false)]
    [InlineData("a?c", "abc", true)]
    [InlineData("a?c", "ac", false)]
    [InlineData("[a]", "a", false)]
    public void A_star_stands_for_any_run_a_question_mark_for_one_character_and_nothing_else_is_special(string pattern, string name, bool match) =>
        new SecretNames([pattern]).Match(name).ShouldBe(match);

    [Fact]
    public void Matches_as_a_regular_expression_would_and_quickly()
    {
        Gen.Select(Gen.String[Gen.Char["ab*"], 0, 8], Gen.String[Gen.Char["abAB"], 0, 10]).Sample((pattern, name) =>
            new SecretNames([pattern]).Match(name).ShouldBe(System.Text.RegularExpressions.Regex.IsMatch(
                name, "^" + pattern.Replace("*", ".*", StringComparison.Ordinal) + "\\z", System.Text.RegularExpressions.RegexOptions.IgnoreCase)));
        var watch = Stopwatch.StartNew();
        new SecretNames([string.Concat(Enumerable.Repeat("*a", 50)) + "*b"]).Match(new string('a', 10_000)).ShouldBeFalse();
        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(15));
    }

    [Theory]
    [InlineData(null, 7, "0000000")]
    [InlineData("", 7, "0000000")]
    [InlineData("1", 4, "0123")]
    [InlineData("3", 7, "0001112")]
    [InlineData(" 3 ", 7, "0001112")]
    [InlineData("7", 7, "0000000")]
    [InlineData("100", 3, "000")]
    [InlineData("100%", 3, "000")]
    [InlineData("50%", 7, "0001112")]
    [InlineData("25%", 8, "00112233")]
    [InlineData("25%", 10, "0011223344")]
    [InlineData("1%", 3, "012")]
    [InlineData("99%", 3, "001")]
    [InlineData("10", 0, "")]
    [InlineData("10%", 0, "")]
    public void Puts_lanes_in_batches(string? text, int lanes, string expected)
    {
        BatchSize.TryParse(text, out var size, out _).ShouldBeTrue();
        string.Concat(size.Batches(lanes)).ShouldBe(expected);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("0%")]
    [InlineData("101%")]
    [InlineData("-1")]
    [InlineData("+1")]
    [InlineData("1.5")]
    [InlineData("%")]
    [InlineData("10 %")]
    [InlineData("10%%")]
    [InlineData("ten")]
    [InlineData("１０")]
    [InlineData("100001")]
    [InlineData("99999999999999999999")]
    public void Refuses_what_is_no_batch_size(string text)
    {
        BatchSize.TryParse(text, out var size, out var why).ShouldBeFalse();
        size.ShouldBe(BatchSize.All);
        why.En.ShouldStartWith("must be a number");
    }

    [Fact]
    public void Batches_are_whole_in_order_and_no_larger_than_asked() =>
        Gen.Select(Gen.Int[1, 100], Gen.Bool, Gen.Int[0, 1_000]).Sample((amount, percentage, lanes) =>
        {
            BatchSize.TryParse(new BatchSize(amount, percentage).ToString(), out var size, out _).ShouldBeTrue();
            size.ShouldBe(new BatchSize(amount, percentage));
            var batches = size.Batches(lanes);
            batches.Count.ShouldBe(lanes);
            batches.ShouldBe(batches.Order());
            var sizes = batches.GroupBy(batch => batch).Select(batch => batch.Count()).ToArray();
            sizes.SkipLast(1).All(count => count == size.Of(lanes)).ShouldBeTrue();
            sizes.All(count => count <= Math.Max(1, percentage ? lanes * amount / 100.0 : amount)).ShouldBeTrue();
        });
}
