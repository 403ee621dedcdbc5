using Codo.Host;
using Codo.Platform.Security;
using Microsoft.Extensions.Logging;

namespace Codo.Tests.Host;

public sealed class ListenWarningTests
{
    [Theory]
    [InlineData("http://127.0.0.1:9900", "*", 0)]
    [InlineData("http://[::1]:9900", "*", 0)]
    [InlineData("http://localhost:9900", "*", 0)]
    [InlineData("http://0.0.0.0:9900", "*", 2)]
    [InlineData("http://[::]:9900", "*", 2)]
    [InlineData("http://192.0.2.1:9900", "olga", 1)]
    [InlineData("http://192.0.2.1:9900", "olga", 0, "viewer")]
    public void Listening_beyond_this_machine_with_everybody_an_editor_is_warned_of(string address, string operators, int warnings, string role = "editor")
    {
        var log = new Lines();
        ListenWarning.Warn(
            new AccessRules(
                [],
                [],
                [],
                [],
                role,
                [new OperatorList("Codo:Cron:Operators", ["job"], new HashSet<string> { operators })],
                new Dictionary<long, string>()
            ),
            log,
            [address]
        );
        log.Warnings.ShouldBe(warnings);
    }

    private sealed class Lines : ILogger
    {
        public int Warnings { get; private set; }

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Warnings += logLevel == LogLevel.Warning ? 1 : 0;
    }
}
