using Dapper;
using Npgsql;

namespace Codo.Platform.Data;

/// <summary>Values that the first node decides and every other node follows.</summary>
public static class Settings
{
    private const string KeepSql = """
        INSERT INTO platform.setting (key, value) VALUES (@Key, @Value) ON CONFLICT (key) DO NOTHING
        """;

    private const string ReadSql = """
        SELECT value FROM platform.setting WHERE key = @Key
        """;

    private const string ReplaceSql = """
        INSERT INTO platform.setting (key, value) VALUES (@Key, @Value) ON CONFLICT (key) DO UPDATE SET value = excluded.value
        """;

    /// <summary>The stored value; <paramref name="value"/> becomes it when there is none. Two nodes that race get the same.</summary>
    public static async Task<string> ReadOrKeep(NpgsqlDataSource source, string key, string value)
    {
        await using var connection = await source.OpenConnectionAsync();
        await connection.ExecuteAsync(KeepSql, new { Key = key, Value = value });
        return await connection.QuerySingleAsync<string>(ReadSql, new { Key = key });
    }

    /// <summary>The stored value; null where there is none.</summary>
    public static async Task<string?> Read(NpgsqlDataSource source, string key)
    {
        await using var connection = await source.OpenConnectionAsync();
        return await connection.QuerySingleOrDefaultAsync<string>(ReadSql, new { Key = key });
    }

    /// <summary>Stores a value that the operator has set.</summary>
    public static async Task Replace(NpgsqlDataSource source, string key, string value)
    {
        await using var connection = await source.OpenConnectionAsync();
        await connection.ExecuteAsync(ReplaceSql, new { Key = key, Value = value });
    }
}
