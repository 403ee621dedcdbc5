using System.ComponentModel.DataAnnotations;
using Codo.Platform.Cluster;

namespace Codo.Tests.Platform.Cluster;

/// <summary>How a selector is read; which nodes fit is PostgreSQL's to say (PlacementTests).</summary>
public sealed class NodeSelectorTests
{
    [Theory]
    [InlineData(null, "")]
    [InlineData(" \t", "")]
    [InlineData("codo-1", "codo-1")]
    [InlineData("dc=bj&!canary", "dc=bj & !canary")]
    [InlineData(" dc = bj  |  ( a&b )", "dc=bj | (a & b)")]
    [InlineData("!!a", "!!a")]
    [InlineData("机房=上海 & ünï", "机房=上海 & ünï")]
    [InlineData("host.example:9900/x@y+z_1", "host.example:9900/x@y+z_1")]
    public void A_selector_has_one_form(string? text, string form)
    {
        NodeSelector.TryParse(text, out var read, out _).ShouldBeTrue();
        read.ShouldBe(form);
        NodeSelector.Form(read).ShouldBe(form);
    }

    [Theory]
    [InlineData("&", "character 1")]
    [InlineData("a b", "character 3")]
    [InlineData("a &", "not complete")]
    [InlineData("(a", "not complete")]
    [InlineData("a)", "character 2")]
    [InlineData("a=b=c", "character 4")]
    [InlineData("=a", "character 1")]
    [InlineData("a,b", "character 2")]
    [InlineData("it's", "character 3")]
    [InlineData("a\\b", "character 2")]
    [InlineData("a & \U0001F600", "\U0001F600")]
    [InlineData("\ud83d", "character 1")]
    public void Anything_else_is_refused_with_the_place(string text, string place)
    {
        NodeSelector.TryParse(text, out _, out var why).ShouldBeFalse();
        why.En.ShouldContain(place);
        NodeSelector.Refused("node", text)!.Text.En.ShouldStartWith("node is ");
    }

    [Fact]
    public void Length_and_depth_are_bounded()
    {
        NodeSelector.TryParse(new string('a', 101), out _, out var name).ShouldBeFalse();
        name.En.ShouldContain("100");
        NodeSelector.TryParse(string.Join('|', Enumerable.Repeat("a", 251)), out _, out var length).ShouldBeFalse();
        length.En.ShouldContain("500");
        // Blanks count for nothing, up to a bound: what is read is read again in its form.
        NodeSelector.TryParse(string.Join('|', Enumerable.Repeat("a", 250)), out var form, out _).ShouldBeTrue();
        form.Length.ShouldBe(997);
        NodeSelector.TryParse(form, out var again, out _).ShouldBeTrue();
        again.ShouldBe(form);
        NodeSelector.TryParse(new string(' ', 1500) + "a", out _, out _).ShouldBeFalse();
        NodeSelector.TryParse(new string('(', 19) + "a" + new string(')', 19), out _, out _).ShouldBeTrue();
        NodeSelector.TryParse(new string('(', 200) + "a" + new string(')', 200), out _, out var depth).ShouldBeFalse();
        depth.En.ShouldContain("deeper");
        NodeSelector.TryParse(new string('!', 499) + "a", out _, out depth).ShouldBeFalse();
        depth.En.ShouldContain("deeper");
    }

    [Fact]
    public void Roles_and_tags_are_lists_with_commas()
    {
        new Node("a").Roles.ShouldBe(NodeRoles.All);
        var node = new Node("a", new MemberSettings { Roles = "orders ,cron", Tags = " dc = bj, canary,,canary" });
        node.Roles.ShouldBe(["cron", "orders"]);
        node.Tags.ShouldBe(["dc=bj", "canary"]);
        node.WhyNot("alerts")!.ShouldContain("Codo:Node:Roles");
        Wrong(new MemberSettings { Roles = "cron, queue" }).ShouldContain("no role queue");
        Wrong(new MemberSettings { Tags = "a b" }).ShouldContain("a b is no tag");
        Wrong(new MemberSettings { Tags = "!a" }).ShouldContain("!a is no tag");
        Wrong(new MemberSettings { Tags = string.Join(',', Enumerable.Range(0, 51)) }).ShouldContain("50");
    }

    private static string Wrong(MemberSettings settings) => settings.Validate(new ValidationContext(settings)).Single().ErrorMessage!;
}
