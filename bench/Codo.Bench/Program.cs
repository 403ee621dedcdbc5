using Codo.Bench;

if (args is not [var name, ..] || name is "--help" or "-h")
{
    Console.WriteLine("""
        usage: Codo.Bench NAME --address http://127.0.0.1:9900 --token TOKEN
        NAME: start|console|cron|load|idle|http|connections|orders|ssh|logs|alerts|rights|history|upgrade|recover|soak

        Measures a running host on the same machine and prints a table. It makes jobs, templates and orders that begin with "bench"; give it a host of its own:
          export Codo__DataDirectory=$(mktemp -d); ./run.sh --urls http://127.0.0.1:9901 &
          dotnet run -c Release --project bench/Codo.Bench -- cron --address http://127.0.0.1:9901 --token "$(./run.sh token --user bench --superuser)"

        start --codo dist/codo-linux-x64 [--runs 15] starts hosts and clients of its own and needs no other host.
        console --codo dist/codo-linux-x64 [--data DIRECTORY] drives the console in Chromium, on a host of its own; DIRECTORY may hold a history.
        history --fill --scale 0.1 --postgres "Host=…;Database=codo;Username=postgres" fills the host's database with a history first
        (scale 1: 10,000 jobs, 10^7 rows of the ledger, 10^5 orders; with --lines 10^8 lines too); without --fill it measures the lists alone.
        upgrade --postgres "Host=…;Username=postgres" --dump Codo.Tests/Upgrades/0.1.0.sql --codo PATH times each migration of an installation with a history.
        recover --codo dist/codo-linux-x64 [--scale 0.01] [--lines] backs up, restores and starts installations of its own, with that history, and times each.
        soak --minutes 120 --postgres … fires 100 times a second and prints each minute how late, how large and how quick things are.
        """);
    return 0;
}

string Option(string option, string otherwise) => Array.IndexOf(args, option) is >= 0 and var place && place + 1 < args.Length ? args[place + 1] : otherwise;
using var client = new BenchClient(Option("--address", "http://127.0.0.1:9900"), Option("--token", Environment.GetEnvironmentVariable("TOKEN") ?? ""));
switch (name)
{
    case "start":
        var runs = int.Parse(Option("--runs", "15"), System.Globalization.CultureInfo.InvariantCulture);
        await StartBench.Run(Path.GetFullPath(Option("--codo", "dist/codo")), runs);
        return 0;
    case "console":
        await ConsoleBench.Run(Path.GetFullPath(Option("--codo", "dist/codo")), Option("--data", "") is { Length: > 0 } data ? data : null);
        return 0;
    case "cron":
        await CronBench.Run(client);
        return 0;
    case "load":
        await LoadBench.Run(client, args.Contains("--busy"), Option("--run-as", ""));
        return 0;
    case "idle":
        await IdleBench.Run(client, int.Parse(Option("--pid", "0"), System.Globalization.CultureInfo.InvariantCulture), args.Contains("--jobs"));
        return 0;
    case "http":
        await HttpBench.Run(client);
        return 0;
    case "connections":
        await ConnectionsBench.Run(new Uri(Option("--address", "http://127.0.0.1:9900")), Option("--token", Environment.GetEnvironmentVariable("TOKEN") ?? ""));
        return 0;
    case "orders":
        await OrdersBench.Run(client);
        return 0;
    case "ssh":
        await OrdersBench.OverSsh(client);
        return 0;
    case "logs":
        await LogsBench.Run(client, Option("--pid", ""));
        return 0;
    case "rights":
        await RightsBench.Run();
        return 0;
    case "alerts":
        await AlertsBench.Run(client);
        return 0;
    case "upgrade":
        await UpgradeBench.Run(Option("--postgres", ""), Option("--dump", "Codo.Tests/Upgrades/0.1.0.sql"), Option("--codo", "codo"));
        return 0;
    case "recover":
        await RecoverBench.Run(
            Path.GetFullPath(Option("--codo", "dist/codo-linux-x64")),
            double.Parse(Option("--scale", "0.01"), System.Globalization.CultureInfo.InvariantCulture),
            args.Contains("--lines")
        );
        return 0;
    case "soak":
        await SoakBench.Run(client, Option("--postgres", ""), int.Parse(Option("--minutes", "120"), System.Globalization.CultureInfo.InvariantCulture));
        return 0;
    case "history":
        await HistoryBench.Run(
            client,
            Option("--postgres", ""),
            double.Parse(Option("--scale", "0.01"), System.Globalization.CultureInfo.InvariantCulture),
            args.Contains("--fill"),
            args.Contains("--lines")
        );
        return 0;
    default:
        Console.Error.WriteLine($"There is no benchmark called {name}; --help lists them.");
        return 2;
}
