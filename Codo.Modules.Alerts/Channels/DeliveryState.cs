namespace Codo.Modules.Alerts.Channels;

/// <summary>Where a message to a channel stands. The stored words are the member names in lower case.</summary>
internal enum DeliveryState
{
    /// <summary>Put here with the incident's own change, and after a try that failed. Taken out by the node that sends it once it is due.</summary>
    Due,

    /// <summary>Put here before the channel is called. Taken out by the answer; one whose host died is claimed again, once its time is over.</summary>
    Sending,

    /// <summary>The channel took it. Final.</summary>
    Sent,

    /// <summary>Every try failed, or the channel is gone. Final.</summary>
    Failed,

    /// <summary>Held back by the channel's rate limit. Taken out by the digest.</summary>
    Held,

    /// <summary>A digest carries it. Taken out by what becomes of the digest.</summary>
    Digested,
}

/// <summary>What happens to a message.</summary>
internal enum DeliveryAction
{
    Claim,
    Accept,
    Retry,
    GiveUp,
    Hold,
    Digest,
}

/// <summary>The machine of deliveries. Each change in the database is a guarded statement that takes its states from here.</summary>
internal static class DeliveryStates
{
    /// <summary>The state after the action; null when the action is refused in that state.</summary>
    public static DeliveryState? Next(DeliveryState state, DeliveryAction action) => (state, action) switch
    {
        (DeliveryState.Due or DeliveryState.Sending, DeliveryAction.Claim) => DeliveryState.Sending,
        (DeliveryState.Due, DeliveryAction.Hold) => DeliveryState.Held,
        (DeliveryState.Sending or DeliveryState.Digested, DeliveryAction.Accept) => DeliveryState.Sent,
        (DeliveryState.Sending, DeliveryAction.Retry) => DeliveryState.Due,
        (DeliveryState.Due or DeliveryState.Sending or DeliveryState.Held or DeliveryState.Digested, DeliveryAction.GiveUp) => DeliveryState.Failed,
        (DeliveryState.Held, DeliveryAction.Digest) => DeliveryState.Digested,
        _ => null,
    };

    /// <summary>The states, as they are stored, in which the action is allowed.</summary>
    public static string[] From(DeliveryAction action) =>
        [.. Enum.GetValues<DeliveryState>().Where(state => Next(state, action) is not null).Select(state => state.ToString().ToLowerInvariant())];
}
