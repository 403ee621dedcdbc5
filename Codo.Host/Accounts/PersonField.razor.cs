using System.Globalization;
using Codo.Platform.Ui;
using MediatR;
using Microsoft.AspNetCore.Components;

namespace Codo.Host.Accounts;

/// <summary>A field of a form that takes a person: a list of names, or an id where there are too many to list.</summary>
public sealed partial class PersonField
{
    private const int MostListed = 500;

    [Parameter]
    public Page Page { get; set; } = null!;

    [Parameter]
    public string Name { get; set; } = "user_id";

    [Parameter]
    public string Label { get; set; } = "";

    /// <summary>The word of the empty choice.</summary>
    [Parameter]
    public string Empty { get; set; } = "–";

    [Parameter]
    public long? Chosen { get; set; }

    [Parameter]
    public bool Required { get; set; }

    [Inject]
    private IMediator Mediator { get; set; } = null!;

    private List<(long Id, string Name)>? People { get; set; }

    /// <summary>A person's username; the id of one who was never here.</summary>
    internal static async Task<string> NameOf(IMediator mediator, long id)
    {
        var text = id.ToString(CultureInfo.InvariantCulture);
        return (await mediator.Send(new ListPeople.Query(text, null, MostListed))).Data.Find(person => person.UserId == id)?.Username ?? text;
    }

    /// <inheritdoc/>
    public override async Task SetParametersAsync(ParameterView parameters)
    {
        parameters.SetParameterProperties(this);
        var found = await Mediator.Send(new ListPeople.Query(null, null, MostListed), Page.Context.RequestAborted);
        if (found.Next is null)
        {
            People = found.Data.ConvertAll(person => (person.UserId, person.Username));
            // Who has grants and was never here.
            if (Chosen is { } id && People.TrueForAll(person => person.Id != id)) People.Add((id, id.ToString(CultureInfo.InvariantCulture)));
        }
        StateHasChanged();
    }
}
