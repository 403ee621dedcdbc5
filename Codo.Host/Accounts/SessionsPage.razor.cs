using System.Globalization;
using Codo.Platform.Http;

namespace Codo.Host.Accounts;

/// <summary>Somebody's sign-ins, for superusers.</summary>
public sealed partial class SessionsPage
{
    private long id;
    private ListPeople.Row? person;

    private string Name => person?.Username ?? "";

    /// <inheritdoc/>
    protected override async Task Load()
    {
        id = NumberPart("user_id");
        person =
            (await Send(new ListPeople.Query(id.ToString(CultureInfo.InvariantCulture), null, Paging.MostLimit))).Data.Find(one => one.UserId == id)
            ?? throw Refusal.NotFound("没有这个人", "There is no such person");
    }
}
