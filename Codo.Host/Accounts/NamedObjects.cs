using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>Objects as requests name them: <c>job:nightly</c>, <c>order:12</c>, <c>space:payments</c>; <c>job:</c> is a job that is to be made.</summary>
internal sealed class NamedObjects(IEnumerable<IResourceReader> readers, Access access)
{
    /// <summary>The object, to whom may see it.</summary>
    /// <param name="space">Of what is to be made; null is <c>default</c>.</param>
    /// <param name="changes">Whether it is to be changed: an attempt on what the caller may not see is in the audit.</param>
    /// <exception cref="Refusal">The text names no kind, or nothing that the caller may see.</exception>
    public async Task<Resource> Find(NpgsqlConnection connection, string? text, string? space = null, bool changes = false)
    {
        var at = text?.IndexOf(':', StringComparison.Ordinal) ?? -1;
        if (at < 1) throw Wrong();
        var (kind, id) = (text![..at], text[(at + 1)..].Trim());
        var absent = Refusal.NotFound($"{text} 不存在", $"There is no {text}");
        if (kind == ResourceKind.Space) return OfSpace(access.SpaceOf(id, changes));
        // In default, whatever space is named.
        if (id.Length == 0 && kind == ResourceKind.Library) return Resource.New(kind);
        if (id.Length == 0 && ResourceKind.Granted.Contains(kind)) return Resource.New(kind, access.SpaceOf(space));
        var reader = readers.FirstOrDefault(reader => reader.Kind == kind) ?? throw Wrong();
        var found = await reader.Find(connection, id) ?? throw absent;
        if (await access.May(Verbs.See, found)) return found;
        throw changes ? absent.AsHidden() : absent;
    }

    /// <summary>What the gate decides, the object's own rule included; where it refuses, what is missing and who can grant it.</summary>
    public async Task<(AccessDecision Decision, Text Missing)> Decide(NpgsqlConnection connection, Caller person, Verbs verb, Resource on, DateTime now)
    {
        var decision = access.Rules.Decide(person, verb, on, now);
        if (readers.FirstOrDefault(reader => reader.Kind == on.Kind) is { } own)
            decision = await own.ApplyOwnRule(connection, person, verb, on, decision);
        return (decision, decision.IsAllowed ? Text.Same("") : decision.Against ?? Explanation.Missing(access.Rules, person, verb, on, now));
    }

    /// <summary>A space as the object of grants on it.</summary>
    public static Resource OfSpace(long space) => new(ResourceKind.Space, space.ToString(CultureInfo.InvariantCulture), space);

    private static Refusal Wrong() =>
        Refusal.Invalid(
            "object 应为 kind:id，kind 为 space | job | template | execute_user | alert_rule | alert_channel | order | library",
            "object must be kind:id, with a kind of space | job | template | execute_user | alert_rule | alert_channel | order | library"
        );
}
