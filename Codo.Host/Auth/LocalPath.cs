using System.Text.RegularExpressions;

namespace Codo.Host.Auth;

/// <summary>Where a sign-in may lead: to a page of this host. What leads anywhere else is an open redirect.</summary>
internal static partial class LocalPath
{
    // Of the page of the longest job_id, in Chinese, some 1,730 are needed; a provider of sign-ins gets it back and forth in an address.
    private const int Longest = 2000;

    /// <summary>The path with its query and fragment; <c>/</c> if it could lead to another host.</summary>
    public static string OrRoot(string? asked) => asked is { Length: <= Longest } && Local().IsMatch(asked) ? asked : "/";

    // A second slash or backslash begins a host; browsers drop tabs and line ends.
    [GeneratedRegex(@"\A/(?![/\\])[A-Za-z0-9/_.~%?=&:,+*@!;()'$#-]*\z")]
    private static partial Regex Local();
}
