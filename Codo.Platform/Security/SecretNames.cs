using System.IO.Enumeration;
using System.Text.RegularExpressions;
using Codo.Platform.Data;
using Microsoft.Extensions.Configuration;

namespace Codo.Platform.Security;

/// <summary>
/// Which values are secrets, by their names: patterns in which <c>*</c> stands for any run of characters and <c>?</c> for one, ignoring case.
/// </summary>
public sealed partial class SecretNames(IEnumerable<string> patterns)
{
    /// <summary>The patterns where the setting names none.</summary>
    public static readonly IReadOnlyList<string> Default =
    [
        "*PASSWORD*",
        "*PASSWD*",
        "*SECRET*",
        "*TOKEN*",
        "*_KEY",
        "*_PWD",
        "*PASS*",
        "*CREDENTIAL*",
        "*_DSN",
        "DATABASE_URL",
    ];

    // A backslash stands for itself.
    private readonly string[] patterns = [.. patterns.Select(pattern => pattern.Replace(@"\", @"\\", StringComparison.Ordinal))];

    /// <summary>The patterns of a list setting; one that is set replaces the default.</summary>
    public static SecretNames Of(IConfiguration configuration, string setting) => new(SettingsBinding.List(configuration, setting) ?? Default);

    /// <summary>Whether the value of that name is a secret.</summary>
    public bool Match(string name) =>
        patterns.Any(pattern => name.Length == 0 ? pattern.Trim('*').Length == 0 : FileSystemName.MatchesSimpleExpression(pattern, name));

    /// <summary>
    /// The passwords of all URLs of the form <c>scheme://user:password@host</c> in a value, as they stand there and as they are meant: such a value is a secret
    /// whatever its name.
    /// </summary>
    public static IEnumerable<string> Passwords(string value)
    {
        if (!value.Contains("://", StringComparison.Ordinal)) yield break;
        foreach (Match url in WithPassword().Matches(value))
        {
            var password = url.Groups["password"].Value;
            yield return password;
            if (password.Contains('%', StringComparison.Ordinal)) yield return Uri.UnescapeDataString(password);
        }
    }

    // The last @ before the path ends the password: people forget to encode one in it, and in a name that is an address of mail.
    [GeneratedRegex(@"://[^/?#\s:]*:(?<password>[^/?#\s]+)@", RegexOptions.CultureInvariant)]
    private static partial Regex WithPassword();
}
