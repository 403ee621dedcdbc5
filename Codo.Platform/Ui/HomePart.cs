using Codo.Platform.Localization;
using MediatR;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Http;

namespace Codo.Platform.Ui;

/// <summary>A module's panel on the first page, rendered once, after <see cref="Load"/>.</summary>
public abstract class HomePart : ComponentBase
{
    [Parameter]
    public HttpContext Context { get; set; } = null!;

    [Inject]
    private IMediator Mediator { get; set; } = null!;

    /// <inheritdoc/>
    public override async Task SetParametersAsync(ParameterView parameters)
    {
        parameters.SetParameterProperties(this);
        await Load();
        StateHasChanged();
    }

    protected abstract Task Load();

    protected Task<TAnswer> Send<TAnswer>(IRequest<TAnswer> request) => Mediator.Send(request, Context.RequestAborted);

    /// <summary>The text in the language of the request.</summary>
    protected static string T(string zh, string en) => new Text(zh, en).ToString();
}
