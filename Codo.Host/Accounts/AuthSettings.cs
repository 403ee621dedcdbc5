using System.ComponentModel.DataAnnotations;

namespace Codo.Host.Accounts;

/// <summary>The section <c>Codo:Auth</c>, as far as people sign in here.</summary>
internal sealed class AuthSettings
{
    public const string ForNobody = "none", ForSuperusers = "superusers", ForAll = "all";

    /// <summary>Hours that a sign-in is good.</summary>
    [Range(1, 720)]
    public int SessionHours { get; set; } = 12;

    /// <summary>Who needs a second factor beside the password.</summary>
    [RegularExpression($"{ForNobody}|{ForSuperusers}|{ForAll}", ErrorMessage = "It must be none, superusers or all.")]
    public string RequireOtp { get; set; } = ForNobody;

    /// <summary>The password of the account <c>admin</c>, which the first start makes; empty: one is generated where Codo generated its token secret.</summary>
    public string AdminPassword { get; set; } = "";

    public bool NeedsOtp(bool isSuperuser) => RequireOtp == ForAll || (RequireOtp == ForSuperusers && isSuperuser);
}
