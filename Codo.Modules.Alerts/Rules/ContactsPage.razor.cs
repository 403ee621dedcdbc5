namespace Codo.Modules.Alerts.Rules;

/// <summary>Where people are reached: all of them to a superuser, their own to everybody else.</summary>
public sealed partial class ContactsPage
{
    private const int Limit = 50;

    private ListContacts.Result found = null!;
    private ListContacts.View? edited;

    /// <inheritdoc/>
    protected override async Task Load()
    {
        found = await Send(new ListContacts.Query(PageNumber, Limit, null));
        if (Asked("edit") is { } name)
            edited = (await Send(new ListContacts.Query(1, 1, name))).Data.SingleOrDefault() ?? throw RuleFields.NoSuchId;
    }
}
