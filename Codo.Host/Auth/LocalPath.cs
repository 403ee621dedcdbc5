using System.Text.RegularExpressions;

namespace Codo.Host.Auth;

/// <summary>Where a sign-in may lead: to a page of this host. What leads anywhere else is an open redirect.</summary>
internal static partial class LocalPath
{
    /// <summary>The path, with its query; <c>/</c> where it could be an address of somebody else's.</summary>
    public static string OrRoot(string? asked) => asked is { Length: <= 1000 } && Local().IsMatch(asked) ? asked : "/";

    // A second slash or backslash begins a host; browsers drop tabs and line ends.
    [GeneratedRegex(@"\A/(?![/\\])[A-Za-z0-9/_.~%?=&:,+*@!;-]*\z")]
    private static partial Regex Local();
}
