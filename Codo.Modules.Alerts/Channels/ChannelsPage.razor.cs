using System.Globalization;
using Codo.Modules.Alerts.Rules;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Modules.Alerts.Channels;

/// <summary>The ways to reach people, each with a test; secrets are written and never shown.</summary>
public sealed partial class ChannelsPage
{
    private const int Limit = 50;

    private readonly Dictionary<long, string?> mayNotEdit = [];
    private ListChannels.Result found = null!;
    private ListChannels.View? edited;
    private string? mayNot;

    private IEnumerable<IChannel> Kinds => Context.RequestServices.GetServices<IChannel>();

    private static string LanguageZh => T("中文", "Chinese");

    /// <inheritdoc/>
    protected override async Task Load()
    {
        found = await Send(new ListChannels.Query(PageNumber, Limit, null));
        mayNot = MayNot(Right.ToMake(ResourceKind.Channel));
        foreach (var channel in found.Data)
        {
            var resource = new Resource(ResourceKind.Channel, channel.ChannelId.ToString(CultureInfo.InvariantCulture), channel.SpaceId);
            mayNotEdit[channel.ChannelId] = await MayNot(Verbs.Edit, resource);
        }
        if (AskedNumber("edit") is { } id)
            edited = (await Send(new ListChannels.Query(1, 1, id))).Data.SingleOrDefault() ?? throw RuleFields.NoSuchId;
    }

    private static string KindOf(string kind) =>
        kind switch
        {
            "email" => T("邮件", "Email"),
            "aliyun_sms" => T("阿里云短信", "Aliyun SMS"),
            "dingtalk" => T("钉钉", "DingTalk"),
            "feishu" => T("飞书", "Feishu"),
            "wecom" => T("企业微信", "WeCom"),
            "webhook" => "Webhook",
            "command" => T("命令", "Command"),
            _ => kind,
        };

    // Secrets that do not read are asked for like those of a new channel.
    private static bool IsKept(ListChannels.View? channel) => channel is { Broken.En.Length: 0 };

    private static string ValueOf(ListChannels.View? channel, Field field) =>
        channel is not null && channel.Settings.TryGetValue(field.Name, out var value) ? value : field.Default;

    // The masks say nothing beside the others.
    private static string Shown(ListChannels.View channel) =>
        string.Join(
            ' ',
            channel.Settings.Where(pair => pair.Value.Length > 0 && pair.Value != ChannelSettings.Mask).Select(pair => $"{pair.Key}={pair.Value}")
        );
}
