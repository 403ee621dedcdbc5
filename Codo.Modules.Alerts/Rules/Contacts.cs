using System.Text.RegularExpressions;
using Codo.Platform.Data;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;
using StackExchange.Redis;

namespace Codo.Modules.Alerts.Rules;

/// <summary>How a person is reached; empty where that is not known.</summary>
/// <param name="Feishu">The Feishu user id.</param>
internal sealed partial record Contact(string Name, string Tel, string Email, string Feishu)
{
    public static bool IsTel(string text) => Number().IsMatch(text);

    public static bool IsEmail(string text) =>
        text.Length <= 254 && MimeKit.MailboxAddress.TryParse(text, out var parsed) && parsed.Address == text && text.Contains('@', StringComparison.Ordinal);

    [GeneratedRegex(@"^\+?[0-9]{5,20}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Number();
}

/// <summary>Finds people's contacts: Redis hash <c>{user}__contact</c>, which codo-admin writes, else Codo's own table.</summary>
internal sealed class Contacts(NpgsqlDataSource source, RedisClient redis, ILogger<Contacts> log)
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
            own = (await connection.QueryAsync<Contact>(FindSql, new { Names = names.ToArray() })).ToDictionary(
                contact => contact.Name,
                StringComparer.Ordinal
            );
        // At once: asked one by one of a Redis that hangs, many people would take longer than the message has before it counts as lost.
        return
        [
            .. await Task.WhenAll(
                names.Select(async name =>
                {
                    var contact = own.GetValueOrDefault(name) ?? new Contact(name, "", "", "");
                    return await Published(name) is { } published
                        ? contact with
                        {
                            Tel = published.Tel ?? contact.Tel,
                            Email = published.Email ?? contact.Email,
                        }
                        : contact;
                })
            ),
        ];
    }

    private async Task<(string? Tel, string? Email)?> Published(string name)
    {
        try
        {
            var connected = await redis.Get(RedisPatience, CancellationToken.None);
            if (!connected.IsConnected) return null;
            var fields = await connected.GetDatabase().HashGetAsync($"{name}__contact", ["tel", "email"]).WaitAsync(RedisPatience);
            return (Good(name, "tel", fields[0], Contact.IsTel), Good(name, "email", fields[1], Contact.IsEmail));
        }
        catch (Exception error) when (error is RedisException or TimeoutException)
        {
            log.LogWarning(error, "The contact of {Name} could not be read from Redis, Codo's own table is used", name);
            return null;
        }
    }

    // One value that is no number or address would make a channel refuse the message for everybody.
    private string? Good(string name, string field, string? value, Func<string, bool> isGood)
    {
        if (string.IsNullOrWhiteSpace(value)) return null;
        if (isGood(value.Trim())) return value.Trim();
        log.LogWarning("{Field} of {Name} in Redis is not one, Codo's own table is used", field, name);
        return null;
    }
}
