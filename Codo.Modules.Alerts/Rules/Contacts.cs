using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;
using StackExchange.Redis;

namespace Codo.Modules.Alerts.Rules;

/// <summary>How a person is reached; empty where that is not known.</summary>
/// <param name="Feishu">The Feishu user id.</param>
internal sealed record Contact(string Name, string Tel, string Email, string Feishu);

/// <summary>Finds people's contacts: Redis hash <c>{user}__contact</c>, which codo-admin writes, else Codo's own table.</summary>
internal sealed class Contacts(NpgsqlDataSource source, IConnectionMultiplexer redis, ILogger<Contacts> log)
{
    private static readonly TimeSpan RedisPatience = TimeSpan.FromSeconds(2);

    private const string FindSql = """
        SELECT name, tel, email, feishu FROM alerts.contact WHERE name = ANY(@Names)
        """;

    /// <summary>One contact a name, in their order; one who is not known has a name alone.</summary>
    public async Task<List<Contact>> Find(IReadOnlyList<string> names)
    {
        Dictionary<string, Contact> own;
        await using (var connection = await source.OpenConnectionAsync())
            own = (await connection.QueryAsync<Contact>(FindSql, new { Names = names.ToArray() })).ToDictionary(contact => contact.Name, StringComparer.Ordinal);
        var found = new List<Contact>();
        foreach (var name in names)
        {
            var contact = own.GetValueOrDefault(name) ?? new Contact(name, "", "", "");
            found.Add(await Published(name) is { } published ? contact with { Tel = published.Tel ?? contact.Tel, Email = published.Email ?? contact.Email } : contact);
        }
        return found;
    }

    private async Task<(string? Tel, string? Email)?> Published(string name)
    {
        if (!redis.IsConnected) return null;
        try
        {
            var fields = await redis.GetDatabase().HashGetAsync($"{name}__contact", ["tel", "email"]).WaitAsync(RedisPatience);
            return (fields[0].IsNullOrEmpty ? null : (string?)fields[0], fields[1].IsNullOrEmpty ? null : (string?)fields[1]);
        }
        catch (Exception error) when (error is RedisException or TimeoutException)
        {
            log.LogWarning("The contact of {Name} could not be read from Redis, Codo's own table is used: {Cause}", name, error.Message);
            return null;
        }
    }
}
