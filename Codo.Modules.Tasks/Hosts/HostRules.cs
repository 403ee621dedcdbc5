using Codo.Platform.Http;
using FluentValidation;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>What slices ask of a host's address.</summary>
internal static class HostRules
{
    /// <summary>Refuses a host that no order could be run on; absent and blank are accepted.</summary>
    public static IRuleBuilderOptions<T, string?> HostOrNothing<T>(this IRuleBuilder<T, string?> rule, string field) =>
        rule.Must(host => string.IsNullOrWhiteSpace(host) || HostList.TryHost(host.Trim(), out _))
            .Refuse($"{field} 不是 IP 地址或主机名", $"{field} is no IP address and no host name");
}
