using Codo.Host;
using Serilog;
using Serilog.Core;
using Serilog.Events;
using Serilog.Formatting;
using Serilog.Formatting.Compact;

namespace Codo.Tests.Host;

public sealed class PlainLineFormatterTests
{
    private const string Said = "eve\u001b[2J\r\n12:00:00 INF Codo: all is well\u009b\u2028\u202e\u007f";

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void No_form_of_the_log_prints_a_control_character_of_a_stranger(bool terminal)
    {
        var written = Write(
            new PlainLineFormatter(terminal ? new PlainLineFormatter.OnTerminal() : new RenderedCompactJsonFormatter()),
            log => log.Warning(new InvalidOperationException(Said), "claims to be {Username}, {Count} times", Said, 3)
        );
        written.Where(letter => letter is not '\n').ShouldAllBe(letter => !char.IsControl(letter) && letter != '\u2028' && letter != '\u202e');
        // No line but the entry's own begins as an entry does.
        written.Split('\n').Count(line => line.StartsWith("12:00:00", StringComparison.Ordinal)).ShouldBe(0);
        written.ShouldContain("3 times");
        written.ShouldContain("\\u001b[2J");
    }

    private static string Write(ITextFormatter form, Action<ILogger> log)
    {
        var output = new Sink(form);
        using var logger = new LoggerConfiguration().WriteTo.Sink(output).CreateLogger();
        log(logger);
        return output.Text.ToString();
    }

    private sealed class Sink(ITextFormatter form) : ILogEventSink
    {
        public StringWriter Text { get; } = new();

        public void Emit(LogEvent logEvent) => form.Format(logEvent, Text);
    }
}
