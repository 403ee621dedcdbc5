using System.Globalization;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Dapper;
using Npgsql;

namespace Codo.Modules.Alerts.Rules;

/// <summary>
/// Rules, silences and channels as rights know them. Those of <c>default</c> are for all spaces; no default role and no list of operators reaches any of them.
/// </summary>
internal static class AlertAccess
{
    private const string RuleSql = """
        SELECT space_id FROM alerts.rule WHERE rule_id = @Id
        """;

    private const string SilenceSql = """
        SELECT space_id FROM alerts.silence WHERE silence_id = @Id
        """;

    private const string ChannelSql = """
        SELECT space_id FROM alerts.channel WHERE channel_id = @Id
        """;

    public static Task<Resource?> Rule(NpgsqlConnection connection, long id) => Find(connection, RuleSql, ResourceKind.Rule, id);

    public static Task<Resource?> Channel(NpgsqlConnection connection, long id) => Find(connection, ChannelSql, ResourceKind.Channel, id);

    /// <summary>A silence is its space's alone: nobody is granted a single one.</summary>
    public static async Task<Resource?> Silence(NpgsqlConnection connection, long id) =>
        await Find(connection, SilenceSql, ResourceKind.Rule, id) is { } found ? Resource.Any(ResourceKind.Rule, found.Space) : null;

    /// <exception cref="Refusal">There is none, none that the caller may see, or it is not theirs to change.</exception>
    public static async Task<Resource> Demand(Access access, Verbs verb, Resource? found)
    {
        await access.Demand(verb, found ?? throw RuleFields.NoSuchId, RuleFields.NoSuchId);
        return found;
    }

    private static async Task<Resource?> Find(NpgsqlConnection connection, string sql, string kind, long id) =>
        await connection.ExecuteScalarAsync<long?>(sql, new { Id = id }) is { } space
            ? new Resource(kind, id.ToString(CultureInfo.InvariantCulture), space)
            : null;
}

/// <summary>Finds rules for decisions that are asked about by name.</summary>
internal sealed class RuleResources : IResourceReader
{
    public string Kind => ResourceKind.Rule;

    public async Task<Resource?> Find(NpgsqlConnection connection, string id) =>
        long.TryParse(id, CultureInfo.InvariantCulture, out var number) ? await AlertAccess.Rule(connection, number) : null;
}

/// <summary>Finds channels for decisions that are asked about by name.</summary>
internal sealed class ChannelResources : IResourceReader
{
    public string Kind => ResourceKind.Channel;

    public async Task<Resource?> Find(NpgsqlConnection connection, string id) =>
        long.TryParse(id, CultureInfo.InvariantCulture, out var number) ? await AlertAccess.Channel(connection, number) : null;
}
