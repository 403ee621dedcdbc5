using System.CommandLine;

namespace Codo.Host.Client;

/// <summary><c>codo why JOB TIME</c>: the ledger's answer.</summary>
internal static class WhyCommand
{
    public static Command Command(ClientContext context)
    {
        var job = new Argument<string>("JOB") { Description = "The job's name." };
        var time = new Argument<string[]>("TIME")
        {
            Description = "When it should have run, in Codo's zone or with an offset: 03:00 (today), 2026-11-20 03:00, 2026-11-20T03:00Z.",
            Arity = new ArgumentArity(1, 2),
        };
        var format = Printer.Format();
        return new Command("why", "Why a job ran at a time, or did not, in a sentence.") { job, time, format }.Calls(
            context,
            async (server, parsed) =>
            {
                var text = string.Join(' ', parsed.GetRequiredValue(time));
                var answer = await server.Get("/v1/cron/log/why/", ("job_id", parsed.GetRequiredValue(job)), ("time", text));
                Printer.One(
                    context,
                    parsed.GetValue(format),
                    answer,
                    answer.Text("log_id"),
                    () => context.Output.WriteLine(TerminalText.OneLine(answer.Text("sentence")))
                );
            }
        );
    }
}
