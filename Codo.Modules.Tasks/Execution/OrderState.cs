namespace Codo.Modules.Tasks.Execution;

/// <summary>Where an order stands; stored as <see cref="OrderStates.Word"/> in <c>schedule</c>.</summary>
internal enum OrderState
{
    /// <summary>Awaits approval. Put there by accept, or by a start that found something else than was approved; approval or an end takes it out.</summary>
    New,

    /// <summary>
    /// Approved, and put off until its time (<c>begins_at</c>). Accept without approval or an approval puts it there; its time, a changed plan or an end takes
    /// it out.
    /// </summary>
    Ready,

    /// <summary>Runs, or waits for a person after a failure. Only in this state is a step ever started.</summary>
    Start,

    /// <summary>Ended, for good: every lane is done or stopped, or a person ended it.</summary>
    Ended,
}

/// <summary>What can happen to an order.</summary>
internal enum OrderAction
{
    /// <summary>Somebody with the right to it approves.</summary>
    Approve,

    /// <summary>Its time has come.</summary>
    Begin,

    /// <summary>Its time has come, and what would run is not what was approved: it awaits approval again.</summary>
    Return,

    /// <summary>Its last lane is done or stopped.</summary>
    Finish,

    /// <summary>A person ends it, whatever it is doing.</summary>
    End,
}

/// <summary>The order's machine. Its guards in SQL take their states from here.</summary>
internal static class OrderStates
{
    /// <summary>The state that follows; null where the action is refused.</summary>
    public static OrderState? Next(OrderState state, OrderAction action) => (state, action) switch
    {
        (OrderState.New, OrderAction.Approve) => OrderState.Ready,
        (OrderState.Ready, OrderAction.Begin) => OrderState.Start,
        (OrderState.Ready, OrderAction.Return) => OrderState.New,
        (OrderState.Start, OrderAction.Finish) => OrderState.Ended,
        (not OrderState.Ended, OrderAction.End) => OrderState.Ended,
        _ => null,
    };

    /// <summary>The words of the column, for a guard <c>schedule = ANY(@From)</c>.</summary>
    public static string[] From(OrderAction action) => [.. Enum.GetValues<OrderState>().Where(state => Next(state, action) is not null).Select(Word)];

    /// <summary>The original's word: <c>new</c>, <c>ready</c>, <c>start</c>, <c>OK</c>.</summary>
    public static string Word(this OrderState state) => state switch
    {
        OrderState.New => "new",
        OrderState.Ready => "ready",
        OrderState.Start => "start",
        _ => "OK",
    };

    /// <summary>The state that the column's word stands for.</summary>
    public static OrderState Read(string word) => word switch
    {
        "new" => OrderState.New,
        "ready" => OrderState.Ready,
        "start" => OrderState.Start,
        "OK" => OrderState.Ended,
        _ => throw new ArgumentOutOfRangeException(nameof(word), word, "no state of an order"),
    };
}
