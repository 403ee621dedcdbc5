using Codo.Platform.Http;
using Codo.Platform.Security;

namespace Codo.Modules.Alerts.Rules;

/// <summary>Silences: of what nobody is told, and until when.</summary>
public sealed partial class SilencesPage
{
    private const int Limit = 50;

    private readonly Dictionary<long, string?> mayNotEdit = [];
    private ListSilences.Result found = null!;
    private string? mayNot;

    /// <inheritdoc/>
    protected override async Task Load()
    {
        found = await Send(new ListSilences.Query(PageNumber, Limit));
        mayNot = MayNot(Right.ToMake(ResourceKind.Rule));
        foreach (var space in found.Data.Select(silence => silence.SpaceId).Distinct())
            mayNotEdit[space] = await MayNot(Verbs.Edit, Resource.Any(ResourceKind.Rule, space));
    }

    private (string Tone, string Icon, string Word) FaceOf(ListSilences.View silence)
    {
        var now = Time.GetUtcNow().UtcDateTime;
        return silence.EndsAt < now ? ("idle", "check", T("已结束", "Over"))
            : silence.StartsAt > now ? ("idle", "clock", T("将开始", "To come"))
            : ("warn", "pause", T("静默中", "In force"));
    }

    private string Question(ListSilences.View silence)
    {
        var now = Time.GetUtcNow().UtcDateTime;
        var what = $"{Words(silence)} {silence.Subject}";
        return silence.EndsAt < now ? T($"删除静默记录 {what}", $"Delete the record of the silence {what}")
            : silence.StartsAt > now ? T($"取消静默 {what}\n它不会开始", $"Cancel the silence {what}\nIt does not begin")
            : T(
                $"结束静默 {what}\n期间发生、仍未解决也无人认领的事件现在通知",
                $"End the silence {what}\nIncidents that opened in it and that nobody has taken on are told now"
            );
    }

    private static string Words(ListSilences.View silence)
    {
        var source = RuleForm.Sources.First(one => one.Value == silence.Source).Word;
        return silence.Kind.Length == 0 ? source : T($"{source}：{RuleForm.KindOf(silence.Kind)}", $"{source}: {RuleForm.KindOf(silence.Kind)}");
    }
}
