using Codo.Modules.Alerts.Rules;
using Codo.Platform.Events;
using Codo.Platform.Localization;
using MediatR;

namespace Codo.Modules.Alerts.Incidents;

/// <summary>What is wrong with Codo itself becomes incidents, one a key.</summary>
internal sealed class SystemTroubles(IncidentLog incidents) : INotificationHandler<SystemTroubleFound>, INotificationHandler<SystemTroubleOver>
{
    public Task Handle(SystemTroubleFound notification, CancellationToken cancellationToken)
    {
        var trouble = new AlertEvent(
            "codo",
            "system",
            Fingerprint(notification.Key),
            $"ID-0 任务-{notification.Key} 类型-codo",
            notification.Title,
            new Text(notification.Detail.Zh, notification.Detail.En)
        )
        {
            Subjects = [notification.Key],
            Space = 1,
        };
        return incidents.Raise(
            trouble,
            merge: notification.IsReminder ? open => trouble with { Detail = new Text(open.DetailZh, open.DetailEn), Continues = true } : null
        );
    }

    public Task Handle(SystemTroubleOver notification, CancellationToken cancellationToken) => incidents.Recover(Fingerprint(notification.Key));

    private static string Fingerprint(string key) => $"codo:{key}";
}
