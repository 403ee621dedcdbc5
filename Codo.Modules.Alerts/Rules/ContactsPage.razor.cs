namespace Codo.Modules.Alerts.Rules;

/// <summary>Where people are reached: all of them to a superuser, their own to everybody else.</summary>
public sealed partial class ContactsPage
{
    private const int Limit = 50;

    private ListContacts.Result found = null!;
    private ListContacts.View? edited;
    private bool isNew;

    /// <inheritdoc/>
    protected override async Task Load()
    {
        found = await Send(new ListContacts.Query(PageNumber, Limit, null));
        if (Asked("edit") is { } name)
            edited = (await Send(new ListContacts.Query(1, 1, name))).Data.SingleOrDefault() ?? throw RuleFields.NoSuchId;
        // The one contact that they may keep: an empty form would be saved over it.
        else if (!Caller.IsSuperuser) edited = (await Send(new ListContacts.Query(1, 1, Caller.Username))).Data.SingleOrDefault();
        isNew = edited is null && Caller.IsSuperuser;
    }
}
