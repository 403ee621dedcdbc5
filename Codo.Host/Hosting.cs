using Codo.Host.Accounts;
using Codo.Host.Api;
using Codo.Host.Commands;
using Codo.Host.LocalServices;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;

namespace Codo.Host;

/// <summary>Builds and runs the host, on what <see cref="Installation"/> brings along; that goes last, after all that uses it has stopped.</summary>
internal static class Hosting
{
    // To end what is left after the grace, and PostgreSQL's own stop: seconds.
    private const int AfterGrace = 60;

    public static async Task<int> Serve(string[] arguments)
    {
        using var manager = SystemdNotifier.OfProcess();
        var builder = Builder(arguments);
        await using var early = EarlyLines(builder);
        // Before anything starts: what is wrong in a setting must stop the start, not a host that runs.
        var showToken = builder.Configuration.GetValue("Codo:ShowToken", !Console.IsOutputRedirected);
        CheckAddresses(builder.Configuration);
        CheckKernel(builder.Configuration, early.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(Hosting)));
        CommandAccount.MakeWhereMissing(builder.Configuration);
        manager.Status("Starting PostgreSQL");
        await using var installation = await Prepare(builder, early, waits: true);
        builder.Services.AddSingleton<WorkingSetTrim>().AddLoop<WorkingSetTrim>("memory", WorkingSetTrim.Period, (memory, _) => memory.TrimAtRest());
        await using var app = builder.Build();
        SettingNames.Warn(builder.Configuration, app.Services.GetServices<SettingsSection>(), app.Logger);
        await installation.RedisStarted();
        // While PostgreSQL starts: it asks the database for nothing.
        app.UseCodo();
        await installation.PostgresStarted();
        manager.Status("Bringing the database to this version");
        await installation.Migrate(app.IsMigrated, app.Migrate);
        manager.Status("Starting");
        await app.Prepare();
        await app.StartAsync();
        var addresses = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;
        ListenWarning.Warn(app.Services.GetRequiredService<CurrentRules>().Rules, app.Logger, addresses);
        // Once it listens: a start that fails for the port must not have shown a password that nobody has seen.
        var admin = await FirstAdmin.Make(app.Services, installation, showToken && !Console.IsOutputRedirected);
        Welcome.Print(Console.Out, addresses, installation, showToken, admin, app.Services.GetRequiredService<TimeProvider>());
        var grace = app.Services.GetRequiredService<NodeSettings>().ShutdownGrace;
        app.Lifetime.ApplicationStopping.Register(() => manager.Stopping(TimeSpan.FromSeconds(grace + AfterGrace)));
        manager.Ready(app.Services.GetRequiredService<LoopStates>(), app.Logger);
        await app.WaitForShutdownAsync();
        return app.Services.GetRequiredService<Node>().StopReason is { } reason ? throw reason : 0;
    }

    public static Task<int> Migrate(string[] arguments) => With(arguments, _ => Task.CompletedTask);

    /// <summary>Prepares everything that a host stands on, without running one, and does something with it.</summary>
    /// <exception cref="StartRefused">The settings name no PostgreSQL, and the data directory has none.</exception>
    public static async Task<int> With(string[] arguments, Func<IServiceProvider, Task> work)
    {
        var builder = Builder(arguments);
        if (string.IsNullOrEmpty(builder.Configuration.GetConnectionString("Postgres")))
            EmbeddedPostgres.MustBeIn(DataDirectory.Locate(builder.Configuration));
        await using var early = EarlyLines(builder);
        await using var installation = await Prepare(builder, early);
        await using var app = builder.Build();
        await installation.RedisStarted();
        await installation.PostgresStarted();
        await installation.Migrate(app.IsMigrated, app.Migrate);
        await work(app.Services);
        return 0;
    }

    /// <summary>Prepares everything that a host stands on and hands over a database that nothing has touched yet.</summary>
    public static async Task Restore(string[] arguments, Func<Installation, WebApplication, Task> work)
    {
        var builder = Builder(arguments);
        await using var early = EarlyLines(builder);
        await using var installation = await Prepare(builder, early);
        await using var app = builder.Build();
        await installation.RedisStarted();
        await installation.PostgresStarted();
        await work(installation, app);
    }

    // The content root is where the binary is: nothing may depend on the working directory.
    private static WebApplicationBuilder Builder(string[] arguments)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        SettingSources.Add(builder.Configuration, arguments);
        SettingNames.CheckLists(builder.Configuration);
        builder.Services.AddLines(builder.Configuration);
        return builder;
    }

    private static void CheckAddresses(IConfiguration configuration)
    {
        foreach (var address in (configuration["urls"] ?? "").Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            try
            {
                BindingAddress.Parse(address);
            }
            catch (FormatException failure)
            {
                throw new StartRefused(
                    $"ASPNETCORE_URLS: {failure.Message}. It is a list of addresses such as http://127.0.0.1:9900 or http://0.0.0.0:9900, with ; between them."
                );
            }
        }
    }

    // Without it every command would end at its start: those of jobs, of orders' steps and of command channels.
    private static void CheckKernel(IConfiguration configuration, ILogger log)
    {
        if (LocalCommand.WhyNotHere() is not { } why) return;
        var node = new Node("", SettingsBinding.Check<MemberSettings>(configuration, "Codo:Node"));
        if (node.Has(NodeRoles.Cron) || node.Has(NodeRoles.Orders) || node.Has(NodeRoles.Alerts))
            throw new StartRefused($"Codo needs Linux 5.3 or newer, and a container runtime that allows pidfd_open, to run commands: {why}.");
        log.LogWarning("No command can be run here, and none has to be with the roles of this node: {Why}", why);
    }

    // What is logged before the host is built, and by its PostgreSQL after that.
    private static ServiceProvider EarlyLines(WebApplicationBuilder builder) => new ServiceCollection().AddLines(builder.Configuration).BuildServiceProvider();

    private static async Task<Installation> Prepare(WebApplicationBuilder builder, ServiceProvider early, bool waits = false)
    {
        var installation = await Installation.Prepare(builder.Configuration, early.GetRequiredService<ILoggerFactory>(), waits);
        try
        {
            builder.AddCodo();
            builder.Services.AddSingleton(new DatabaseServer(installation.OwnsPostgres, installation.PostgresUser));
            return installation;
        }
        catch
        {
            // A wrong setting: what was started for the host goes before the sentence that says so.
            await installation.DisposeAsync();
            throw;
        }
    }
}
