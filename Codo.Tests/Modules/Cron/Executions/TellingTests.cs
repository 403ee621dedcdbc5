using Codo.Modules.Cron.Executions;
using Codo.Modules.Cron.Jobs;
using Codo.Platform.Events;
using Codo.Tests.Support;
using MediatR;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Codo.Tests.Modules.Cron.Executions;

/// <summary>News that a listener cannot take.</summary>
public sealed class TellingTests(TestPostgres postgres)
{
    [Fact]
    public async Task What_cannot_be_told_is_given_up_after_some_time_and_what_waits_behind_it_is_told_once()
    {
        await using var host = await TestHost.Start(postgres);
        foreach (var job in new[] { "first", "bad", "last" })
        {
            await host.Make(new { job_id = job, cmd = "exit 1", cron = CronClient.Never });
            await host.Ended(await host.RunNow(job));
        }
        await Eventually.True(async () => await host.Ask<long>("SELECT count(*) FROM hangfire.job WHERE invocationdata ->> 'Type' LIKE '%Telling%' AND statename = 'Succeeded'") == 3, "the host's own tellings are over");
        await host.Ask<int>("""
            WITH n AS (INSERT INTO cron.news (kind, job, job_id, log_id, nominal_at, nominal_until, tries) SELECT 'ended', job, job_id, log_id, nominal_at, nominal_at, CASE job_id WHEN 'bad' THEN 10 ELSE 0 END FROM cron.cron_log ORDER BY log_id RETURNING 1) SELECT count(*)::int FROM n
            """);
        var listener = new Listener();
        var telling = new Telling(host.Source, listener, host.Services.GetRequiredService<JobEnvironment>(), NullLogger<Telling>.Instance);
        for (var tries = 1; tries < 3; tries++) await Should.ThrowAsync<InvalidDataException>(telling.Tell);
        listener.Told.ShouldBe(["first"]);
        await host.Ask<int>("UPDATE cron.news SET at = now() - interval '11 minutes' WHERE job_id = 'bad' RETURNING 1");
        await telling.Tell();
        listener.Told.ShouldBe(["first", "last"]);
        (await host.Ask<long>("SELECT count(*) FROM cron.news")).ShouldBe(0);
    }

    private sealed class Listener : IMediator
    {
        public List<string> Told { get; } = [];

        public Task Publish<TNotification>(TNotification notification, CancellationToken cancellationToken = default) where TNotification : INotification
        {
            var job = ((ExecutionEnded)(INotification)notification).JobId;
            if (job == "bad") throw new InvalidDataException();
            Told.Add(job);
            return Task.CompletedTask;
        }

        public Task Publish(object notification, CancellationToken cancellationToken = default) => throw new NotSupportedException();

        public Task<TResponse> Send<TResponse>(IRequest<TResponse> request, CancellationToken cancellationToken = default) => throw new NotSupportedException();

        public Task Send<TRequest>(TRequest request, CancellationToken cancellationToken = default) where TRequest : IRequest => throw new NotSupportedException();

        public Task<object> Send(object request, CancellationToken cancellationToken = default) => throw new NotSupportedException();
    }
}
