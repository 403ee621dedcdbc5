using System.Net;
using System.Text.RegularExpressions;
using StackExchange.Redis;

namespace Codo.Host.LocalServices;

/// <summary>A Redis that is not brought along. It may be away at the start; a text that can never lead to one may not.</summary>
internal static partial class SharedRedis
{
    /// <summary>
    /// The text as it came, which may hold a password and is never repeated: the client's own messages name what they stumble over, and behind a comma in a
    /// password that is its second half.
    /// </summary>
    /// <exception cref="StartRefused">It is not of the client's form.</exception>
    public static string Readable(string configuration)
    {
        try
        {
            var points = ConfigurationOptions.Parse(configuration).EndPoints;
            if (points.Count > 0 && points.All(point => point is not DnsEndPoint named || HostName().IsMatch(named.Host))) return configuration;
        }
        catch (Exception error) when (error is ArgumentException or FormatException or OverflowException)
        {
            throw Refused();
        }

        throw Refused();
    }

    private static StartRefused Refused() =>
        new(
            ("ConnectionStrings:Redis cannot be read. It is of the form redis.example.com:6379,password=…,ssl=true (host and port first, no redis:// in "
                + "front, no comma in the password).")
        );

    // The client takes a URL, or a sentence, for the name of a host.
    [GeneratedRegex(@"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?$")]
    private static partial Regex HostName();
}
