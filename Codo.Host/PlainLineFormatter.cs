using System.Globalization;
using System.Text;
using Serilog.Events;
using Serilog.Formatting;

namespace Codo.Host;

/// <summary>
/// Writes a log form with every control character escaped: what strangers send is in the log, and ESC drives a terminal, a line end begins an entry that nobody
/// wrote. The line end that ends an entry, and those of an exception's stack, which are indented, stay.
/// </summary>
internal sealed class PlainLineFormatter(ITextFormatter form) : ITextFormatter
{
    /// <summary>The form of a terminal.</summary>
    public sealed class OnTerminal : ITextFormatter
    {
        public void Format(LogEvent logEvent, TextWriter output)
        {
            var source = logEvent.Properties.TryGetValue("SourceContext", out var value) && value is ScalarValue { Value: string name } ? name : "";
            output.Write(string.Create(CultureInfo.InvariantCulture, $"{logEvent.Timestamp:HH:mm:ss} {Level(logEvent.Level)} {source}: "));
            // Texts as they are, without quotes; line ends of theirs are escaped here, while those of a stack below are not.
            output.Write(Escape(Message(logEvent), lineEnds: true));
            output.Write('\n');
            if (logEvent.Exception is not { } error) return;
            foreach (var line in error.ToString().Split('\n'))
            {
                // Indented, so that a line of a message cannot be taken for an entry.
                output.Write("  ");
                output.Write(line.TrimEnd('\r'));
                output.Write('\n');
            }
        }

        private static string Message(LogEvent logEvent)
        {
            var text = new StringBuilder();
            foreach (var token in logEvent.MessageTemplate.Tokens)
            {
                if (
                    token is Serilog.Parsing.PropertyToken property
                    && logEvent.Properties.TryGetValue(property.PropertyName, out var value)
                    && value is ScalarValue { Value: string literal }
                )
                {
                    text.Append(literal);
                    continue;
                }

                using var piece = new StringWriter(CultureInfo.InvariantCulture);
                token.Render(logEvent.Properties, piece, CultureInfo.InvariantCulture);
                text.Append(piece);
            }

            return text.ToString();
        }

        private static string Level(LogEventLevel level) => level switch
        {
            LogEventLevel.Verbose => "VRB",
            LogEventLevel.Debug => "DBG",
            LogEventLevel.Information => "INF",
            LogEventLevel.Warning => "WRN",
            LogEventLevel.Error => "ERR",
            _ => "FTL",
        };
    }

    public void Format(LogEvent logEvent, TextWriter output)
    {
        using var entry = new StringWriter(CultureInfo.InvariantCulture);
        form.Format(logEvent, entry);
        output.Write(Escape(entry.ToString(), lineEnds: false));
    }

    /// <summary>The text with control characters, and what turns or ends lines in other ways, as <c>\u001b</c>.</summary>
    public static string Escape(string text, bool lineEnds)
    {
        if (!text.Any(letter => IsControl(letter, lineEnds))) return text;
        var plain = new StringBuilder(text.Length + 16);
        foreach (var letter in text)
        {
            if (IsControl(letter, lineEnds)) plain.Append(CultureInfo.InvariantCulture, $"\\u{(int)letter:x4}");
            else plain.Append(letter);
        }

        return plain.ToString();
    }

    // Beside control characters: line and paragraph separators, and those that turn the direction of what follows.
    private static bool IsControl(char letter, bool lineEnds) =>
        letter is '\n' or '\r'
            ? lineEnds
            : (char.IsControl(letter) && letter != '\t') || letter is '\u2028' or '\u2029' or (>= '\u202a' and <= '\u202e') or (>= '\u2066' and <= '\u2069');
}
