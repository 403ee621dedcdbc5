using Codo.Platform.Security;

namespace Codo.Host.Accounts;

/// <summary>Whether a person needs a second factor, by <see cref="AuthSettings.RequireOtp"/> and the roles that they have now.</summary>
internal sealed class SecondFactorDemand(AuthSettings settings, CurrentRules current, TimeProvider time)
{
    public bool IsOn(OwnAccount account)
    {
        var (rules, now) = (current.Rules, time.GetUtcNow().UtcDateTime);
        var roles = rules.GrantsOf(account.UserId).Where(grant => grant.Holds(now)).Select(grant => grant.Role).Append(rules.DefaultRole).ToList();
        // What templates, approval rules and the lists of operators give is as much as these roles, and no grant.
        if (account.IsTemplateUser || account.IsApprover) roles.Add("approver");
        if (account.IsTemplateUser || rules.Operators.Any(list => list.Has(account.Username))) roles.Add("editor");
        return settings.NeedsOtp(account.IsSuperuser, roles);
    }
}
