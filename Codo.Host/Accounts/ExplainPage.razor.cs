using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Host.Accounts;

/// <summary>Why a person may do something to an object, or what is missing and who can grant it.</summary>
public sealed partial class ExplainPage
{
    private static readonly string[] Kinds = ["job", "template", "execute_user", "alert_rule", "alert_channel", "order", "library", "space"];

    private readonly List<Explain.Result> answers = [];
    private List<string> spaces = [];
    private string? refusal;
    private string who = "";

    private string Verb => Asked("verb") is { } verb && Roles.Words.ContainsKey(verb) ? verb : "run";

    private string Kind => Asked("kind") ?? "job";

    private string On => $"{Kind}:{Asked("name")?.Trim()}";

    private string Api =>
        $"/v2/accounts/explain/?verb={Verb}&object={Uri.EscapeDataString(On)}"
        + (AskedNumber("person") is { } person ? $"&person={person}" : "")
        + (Asked("space") is { } space ? $"&space={Uri.EscapeDataString(space)}" : "");

    /// <inheritdoc/>
    protected override async Task Load()
    {
        spaces = [.. (await Send(new ListSpaces.Query(null, null))).Data.Select(space => space.Name)];
        if (Asked("verb") is null) return;
        try
        {
            who = AskedNumber("person") is { } person ? await PersonField.NameOf(Mediator, person) : Caller.Username;
            foreach (var verb in Roles.Words.Keys) answers.Add(await Send(new Explain.Query(AskedNumber("person"), verb, On, Asked("space"))));
        }
        catch (Refusal refused)
        {
            // The form stays, to ask again.
            answers.Clear();
            refusal = string.Join(' ', new[] { refused.Text.ToString(), refused.Hint?.ToString() ?? "" }.Where(text => text.Length > 0));
        }
    }

    private string Sentence(Explain.Result answer)
    {
        var (kind, verb) = (ResourceKind.NameOf(Kind), Roles.NameOfVerb(answer.Verb));
        var what = answer.Object.EndsWith(':') ? T($"新的{kind.Zh}", $"a new {kind.En}") : answer.Object;
        return answer.Allowed
            ? T($"{who} 可以{verb.Zh}：{what}", $"{who} may {verb.En} {what}")
            : T($"{who} 不可以{verb.Zh}：{what}", $"{who} may not {verb.En} {what}");
    }
}
