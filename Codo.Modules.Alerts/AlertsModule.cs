using Codo.Modules.Alerts.Channels;
using Codo.Modules.Alerts.Incidents;
using Codo.Modules.Alerts.Rules;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Codo.Platform.Telemetry;
using Codo.Platform.Ui;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Modules.Alerts;

/// <summary>The module's registration and its table of contents.</summary>
public static class AlertsModule
{
    public static IServiceCollection AddAlerts(this IServiceCollection services)
    {
        services.AddHealthChecks().AddCheck<Undeliverable>(Heartbeat.AlertsCheck);
        return services
            .AddHandlers(typeof(AlertsModule).Assembly)
            .AddQueue("deliveries", new Text("待发送的通知", "Alerts to be sent"), Courier.WaitingSql)
            .AddSettings<AlertSettings>("Codo:Alerts")
            .AddSingleton<IResourceReader, RuleResources>()
            .AddSingleton<IResourceReader, ChannelResources>()
            .AddSingleton<ILiveTopic, IncidentsTopic>()
            .AddSingleton(provider => new HeaderFigure(
                3,
                new Text("未处理事件", "incidents open"),
                "/incidents",
                "bell",
                "bad",
                "incidents",
                (connection, access) => OpenIncidentCount.Of(connection, access, provider.GetServices<IResourceReader>()),
                new Text("未处理事件", "incident open")
            ))
            .AddHomePanel<OpenIncidentsPart>(HomePlace.NeedsMe, 2, "incidents")
            .AddNavigation(NavigationGroup.Watch, 1, new Text("告警事件", "Incidents"), "/incidents", "bell")
            .AddNavigation(NavigationGroup.Watch, 2, new Text("告警设置", "Alerting"), "/alerting", "settings")
            .AddNavigationPart(NavigationGroup.Watch, new Text("告警渠道", "Alert channels"), "/alerting/channels")
            .AddNavigationPart(NavigationGroup.Watch, new Text("静默", "Silences"), "/alerting/silences")
            .AddNavigationPart(NavigationGroup.Watch, new Text("联系人", "Contacts"), "/alerting/contacts")
            .AddGauges<AlertGauges>()
            .AddSingleton<Outbound>()
            .AddSingleton<PublicAddress>()
            .AddSingleton<IChannel, EmailChannel>()
            .AddSingleton<IChannel, AliyunSmsChannel>()
            .AddSingleton<IChannel, DingTalkChannel>()
            .AddSingleton<IChannel, WeComChannel>()
            .AddSingleton<IChannel, FeishuChannel>()
            .AddSingleton<IChannel, WebhookChannel>()
            .AddSingleton<IChannel, CommandChannel>()
            .AddSingleton<ChannelSettings>()
            .AddSingleton<Contacts>()
            .AddSingleton<MessageTexts>()
            .AddSingleton<Sending>()
            .AddSingleton<Courier>()
            .AddSingleton<Undeliverable>()
            .AddSingleton<Notifier>()
            .AddSingleton<IncidentLog>()
            .AddSingleton<Watch>()
            .AddSingleton<Heartbeat>()
            .AddHostedService(provider => provider.GetRequiredService<Courier>())
            .AddHostedService<SealAddresses>()
            .AddSingleton<IStampRunAs, StampChannels>()
            .AddSingleton<ISettleRestored, SettleRestoredAlerts>()
            .AddPoll<Courier>(
                "alerts courier",
                TimeSpan.FromSeconds(1),
                TimeSpan.FromSeconds(5),
                (courier, stopping) => courier.Begin(stopping),
                courier => courier.Written
            )
            .AddPoll<Watch>("alerts escalation", TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(10), (watch, _) => watch.Run(watch.Escalate))
            .AddPoll<Watch>("alerts overlong", TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(10), (watch, _) => watch.Run(watch.FindLong))
            .AddLoop<Watch>("alerts retention", TimeSpan.FromHours(1), (watch, stopping) => watch.Retain(stopping))
            .AddLoop<Heartbeat>("alerts heartbeat", TimeSpan.FromSeconds(5), (heartbeat, stopping) => heartbeat.Tick(stopping));
    }

    /// <summary>Every route of the module.</summary>
    public static void MapAlerts(this IEndpointRouteBuilder routes)
    {
        Right see = Right.To(Verbs.See, ResourceKind.Rule),
            seeJobs = Right.To(Verbs.See, ResourceKind.Job),
            edit = Right.To(Verbs.Edit, ResourceKind.Rule),
            editChannel = Right.To(Verbs.Edit, ResourceKind.Channel);
        routes.Get<ListIncidents.Query, ListIncidents.Result>("/v2/alerts/incident/", "Incidents, newest first", seeJobs);
        routes.Patch<ChangeIncident.Command, ChangeIncident.Result>(
            "/v2/alerts/incident/",
            "Acknowledge or resolve an incident (those who were told, admins of its space)",
            Right.Own(Verbs.Run)
        );
        IncidentPage.Map(routes);
        routes.MapPage<InboxPage>("/incidents/");
        routes.MapPage<RulesPage>("/alerting/");
        routes.MapPage<ChannelsPage>("/alerting/channels/");
        routes.MapPage<SilencesPage>("/alerting/silences/");
        routes.MapPage<ContactsPage>("/alerting/contacts/");

        routes.Get<ListRules.Query, ListRules.Result>("/v2/alerts/rule/", "Rules, in the order in which they are asked", see);
        routes.Post<CreateRule.Command, CreateRule.Result>("/v2/alerts/rule/", "Make a rule", Right.ToMake(ResourceKind.Rule));
        routes.Put<EditRule.Command, Answer>("/v2/alerts/rule/", "Change the fields of a rule that the request carries", edit);
        routes.Delete<DeleteRule.Command, Answer>("/v2/alerts/rule/", "Delete a rule", edit);

        routes.Get<ListSilences.Query, ListSilences.Result>("/v2/alerts/silence/", "Silences", see);
        routes.Post<CreateSilence.Command, CreateSilence.Result>("/v2/alerts/silence/", "Tell nobody for a time", Right.ToMake(ResourceKind.Rule));
        routes.Delete<DeleteSilence.Command, Answer>("/v2/alerts/silence/", "End a silence", edit);

        routes.Get<ListContacts.Query, ListContacts.Result>("/v2/alerts/contact/", "Contacts (superuser: all; others: their own)", Right.Own(Verbs.See));
        routes.Post<SaveContact.Command, Answer>("/v2/alerts/contact/", "Keep a contact (superuser: anybody's; others: their own)", Right.Own(Verbs.Edit));
        routes.Put<SaveContact.Command, Answer>("/v2/alerts/contact/", "Change a contact (superuser: anybody's; others: their own)", Right.Own(Verbs.Edit));
        routes.Delete<DeleteContact.Command, Answer>(
            "/v2/alerts/contact/",
            "Delete a contact (superuser: anybody's; others: their own)",
            Right.Own(Verbs.Edit)
        );

        routes.Get<ListChannels.Query, ListChannels.Result>("/v2/alerts/channel/", "Channels, their secrets masked", Right.To(Verbs.See, ResourceKind.Channel));
        routes.Post<CreateChannel.Command, CreateChannel.Result>("/v2/alerts/channel/", "Make a channel", Right.ToMake(ResourceKind.Channel));
        routes.Put<EditChannel.Command, Answer>("/v2/alerts/channel/", "Change the fields and settings of a channel that the request carries", editChannel);
        routes.Delete<DeleteChannel.Command, Answer>("/v2/alerts/channel/", "Delete a channel", editChannel);
        routes.Post<TestChannel.Command, TestChannel.Result>("/v2/alerts/channel/test/", "Send one message now, and answer what came back", editChannel);

        routes.Get<ListDeliveries.Query, ListDeliveries.Result>("/v2/alerts/delivery/", "What was sent, to whom, and what came back", seeJobs);
    }
}
