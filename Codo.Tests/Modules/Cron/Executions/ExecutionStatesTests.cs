using Codo.Modules.Cron.Executions;

namespace Codo.Tests.Modules.Cron.Executions;

public sealed class ExecutionStatesTests
{
    private static readonly Dictionary<(ExecutionStatus, ExecutionAction), ExecutionStatus> Allowed = new()
    {
        [(ExecutionStatus.Queued, ExecutionAction.Claim)] = ExecutionStatus.Running,
        [(ExecutionStatus.Queued, ExecutionAction.Kill)] = ExecutionStatus.Killed,
        [(ExecutionStatus.Running, ExecutionAction.Succeed)] = ExecutionStatus.Success,
        [(ExecutionStatus.Running, ExecutionAction.Fail)] = ExecutionStatus.Faild,
        [(ExecutionStatus.Running, ExecutionAction.Retry)] = ExecutionStatus.Queued,
        [(ExecutionStatus.Running, ExecutionAction.TimeOut)] = ExecutionStatus.Timeout,
        [(ExecutionStatus.Running, ExecutionAction.Kill)] = ExecutionStatus.Killed,
        [(ExecutionStatus.Running, ExecutionAction.Interrupt)] = ExecutionStatus.Interrupted,
    };

    public static TheoryData<string, string> Table()
    {
        var table = new TheoryData<string, string>();
        foreach (var state in Enum.GetNames<ExecutionStatus>())
            foreach (var action in Enum.GetNames<ExecutionAction>())
                table.Add(state, action);
        return table;
    }

    [Theory]
    [MemberData(nameof(Table))]
    public void Each_action_in_each_state_goes_where_the_table_says_or_is_refused(string state, string action)
    {
        var (from, by) = (Enum.Parse<ExecutionStatus>(state), Enum.Parse<ExecutionAction>(action));
        ExecutionStates.Next(from, by).ShouldBe(Allowed.TryGetValue((from, by), out var to) ? to : null);
    }
}
