using Codo.Platform.Data;
using Microsoft.Extensions.Configuration;

namespace Codo.Platform.Security;

/// <summary>Which values are secrets, by their names: patterns in which <c>*</c> stands for any run of characters, ignoring case.</summary>
public sealed class SecretNames(IEnumerable<string> patterns)
{
    /// <summary>The patterns where the setting names none.</summary>
    public static readonly IReadOnlyList<string> Default = ["*PASSWORD*", "*PASSWD*", "*SECRET*", "*TOKEN*", "*_KEY"];

    private readonly string[] patterns = [.. patterns];

    /// <summary>The patterns of a list setting; one that is set replaces the default.</summary>
    public static SecretNames Of(IConfiguration configuration, string setting) => new(Bound.List(configuration, setting) ?? Default);

    /// <summary>Whether the value of that name is a secret.</summary>
    public bool Match(string name) => patterns.Any(pattern => Matches(pattern, name));

    // Goes back to the last star only, so that its time grows with the product of the lengths at worst, whatever the pattern.
    private static bool Matches(string pattern, string name)
    {
        int p = 0, n = 0, star = -1, mark = 0;
        while (n < name.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                star = p++;
                mark = n;
            }
            else if (p < pattern.Length && char.ToUpperInvariant(pattern[p]) == char.ToUpperInvariant(name[n]))
            {
                p++;
                n++;
            }
            else if (star >= 0)
            {
                p = star + 1;
                n = ++mark;
            }
            else
            {
                return false;
            }
        }

        return pattern.AsSpan(p).TrimStart('*').IsEmpty;
    }
}
