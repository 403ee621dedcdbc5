using System.ComponentModel.DataAnnotations;
using Codo.Platform.Http;

namespace Codo.Host.Accounts;

/// <summary>The section <c>Codo:Auth</c>, as far as people sign in here.</summary>
internal sealed class AuthSettings
{
    public const string ForNobody = "none", ForSuperusers = "superusers", ForAll = "all";

    private const string One = $"({ForSuperusers}|viewer|operator|editor|approver|admin)";

    /// <summary>Hours that a sign-in is good.</summary>
    [Range(1, 720)]
    public int SessionHours { get; set; } = 12;

    /// <summary>
    /// Who needs a second factor beside the password: <c>none</c>, <c>all</c>, or a list of <c>superusers</c> and roles. A role stands for whoever has it, or
    /// one with at least its verbs, on anything.
    /// </summary>
    [RegularExpression(
        $"{ForNobody}|{ForAll}|{One}( *, *{One})*",
        ErrorMessage = "It must be none, all, or a list of superusers, viewer, operator, editor, approver and admin."
    )]
    public string RequireOtp { get; set; } = ForNobody;

    /// <summary>The password of the account <c>admin</c>, which the first start makes; empty: one is generated where Codo generated its token secret.</summary>
    public string AdminPassword { get; set; } = "";

    /// <summary>Whether a person with these roles needs one.</summary>
    public bool NeedsOtp(bool isSuperuser, IEnumerable<string> roles)
    {
        if (RequireOtp is ForNobody or ForAll) return RequireOtp == ForAll;
        var named = RequireOtp.Split(',', StringSplitOptions.TrimEntries);
        if (isSuperuser) return true;
        var verbs = named.Where(Roles.All.ContainsKey).Select(role => Roles.All[role]).ToArray();
        return roles.Any(role => Roles.All.TryGetValue(role, out var has) && verbs.Any(needed => (has & needed) == needed));
    }
}
