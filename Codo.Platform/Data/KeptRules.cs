using Dapper;
using Npgsql;

namespace Codo.Platform.Data;

/// <summary>
/// What an installation keeps of the rules of the version that it was made with: migrations write it where there was data already, and a setting of the
/// operator's goes before it.
/// </summary>
public sealed class KeptRules(NpgsqlDataSource source)
{
    private const string ReadSql = """
        SELECT key, value FROM platform.setting WHERE key LIKE 'keep.%'
        """;

    private Dictionary<string, string>? rules;

    /// <summary>The rule's value; null where the installation is not older than the rule.</summary>
    /// <param name="key">As its migration wrote it, such as <c>keep.quotas</c>.</param>
    public async ValueTask<string?> Read(string key, CancellationToken cancellation = default)
    {
        if (rules is null)
        {
            // Only migrations write them, and those have run before anything asks.
            await using var connection = await source.OpenConnectionAsync(cancellation);
            rules = (await connection.QueryAsync<(string Key, string Value)>(ReadSql)).ToDictionary(
                rule => rule.Key,
                rule => rule.Value,
                StringComparer.Ordinal
            );
        }

        return rules.GetValueOrDefault(key);
    }
}
