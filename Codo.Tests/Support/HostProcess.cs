using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Codo.Host.Commands;
using Codo.Host.LocalServices;

namespace Codo.Tests.Support;

/// <summary>
/// The real binary as a process of its own, with its own PostgreSQL and Redis unless it is given others, in a session of its own. What only a process can show:
/// kill -9, signals, exit codes, what it prints. It dies with the test process.
/// </summary>
internal sealed partial class HostProcess : IAsyncDisposable
{
    private readonly Process process;
    private readonly StringBuilder output;
    private readonly Task reading;

    private HostProcess(Process process, StringBuilder output, Task reading, string dataDirectory) =>
        (this.process, this.output, this.reading, DataDirectory) = (process, output, reading, dataDirectory);

    /// <summary>The binary beside the tests.</summary>
    public static string Binary => Path.Combine(AppContext.BaseDirectory, "codo");

    public int Pid => process.Id;

    public string DataDirectory { get; }

    /// <summary>Where it listens.</summary>
    public Uri Address { get; private set; } = null!;

    /// <summary>Everything that it printed so far.</summary>
    public string Output
    {
        get
        {
            lock (output)
                return output.ToString();
        }
    }

    /// <summary>Starts a host on the data directory and returns when it listens.</summary>
    /// <param name="user">Who it runs as; null is the user of the tests.</param>
    public static Task<HostProcess> Start(
        string dataDirectory,
        PostgresUser? user = null,
        string? binary = null,
        string workingDirectory = "/",
        params (string Name, string Value)[] environment
    ) => StartWith([], dataDirectory, user, binary, workingDirectory, environment);

    /// <summary>Starts a host as one of several, on a PostgreSQL and a Redis that they share.</summary>
    public static async Task<HostProcess> StartMember(string dataDirectory, string name, string postgres, TestRedis redis)
    {
        // What it signs its tokens with.
        Directory.CreateDirectory(Path.Combine(dataDirectory, "secrets"));
        await File.WriteAllTextAsync(Path.Combine(dataDirectory, "secrets/token-secret"), TestTokens.Secret);
        return await Start(
            dataDirectory,
            environment:
            [
                ("ConnectionStrings__Postgres", postgres),
                ("ConnectionStrings__Redis", redis.Configuration),
                ("Codo__Auth__TokenSecret", TestTokens.Secret),
                ("Codo__MasterKey", "a-master-key-for-tests-of-more-than-32-bytes"),
                ("Codo__TimeZone", "Asia/Shanghai"),
                ("Codo__NodeName", name),
            ]
        );
    }

    /// <summary>The same with capabilities that a service manager gives to a user that is not root.</summary>
    /// <param name="capabilities">As <c>setpriv</c> writes them: <c>setuid</c>.</param>
    public static async Task<HostProcess> StartWith(
        string[] capabilities,
        string dataDirectory,
        PostgresUser? user,
        string? binary = null,
        string workingDirectory = "/",
        params (string Name, string Value)[] environment
    )
    {
        (string, string)[] own = [("Codo__DataDirectory", dataDirectory), ("ASPNETCORE_URLS", "http://127.0.0.1:0"), ("Codo__MinFreeDisk", "0")];
        var (process, output, reading) = await Begin(Command(binary ?? Binary, [], user, workingDirectory, [.. own, .. environment]), capabilities);
        var host = new HostProcess(process, output, reading, dataDirectory);
        // Unpacking one file and making a cluster beside tests that publish takes minutes on a slow machine.
        await Eventually.True(() => process.HasExited || Listening().IsMatch(host.Output), "the host listens or ends", seconds: 300);
        if (Listening().Match(host.Output) is not { Success: true } match)
        {
            await reading;
            throw new InvalidOperationException($"The host ended with {process.ExitCode}: {host.Output}");
        }

        host.Address = new Uri(match.Groups[1].Value);
        return host;
    }

    /// <summary>Runs the binary to its end.</summary>
    public static async Task<(int ExitCode, string Output, string Errors)> Run(
        string[] arguments, PostgresUser? user = null, string? binary = null, string workingDirectory = "/", params (string Name, string Value)[] environment)
    {
        using var process = await Children.Start(Command(binary ?? Binary, arguments, user, workingDirectory, environment));
        process.StandardInput.Close();
        var said = await Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return (process.ExitCode, said[0], said[1]);
    }

    /// <summary>The same with lines on its standard input.</summary>
    public static async Task<(int ExitCode, string Output, string Errors)> RunWith(
        string input,
        string[] arguments,
        params (string Name, string Value)[] environment
    )
    {
        using var process = await Children.Start(Command(Binary, arguments, null, "/", environment));
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        var said = await Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return (process.ExitCode, said[0], said[1]);
    }

    /// <summary>Sends a request as a superuser of this installation, or with a token, and reads the envelope.</summary>
    public async Task<JsonObject> Send(HttpMethod method, string path, object? body = null, string? token = null) =>
        JsonNode.Parse(await Text(method, path, body, token))!.AsObject();

    /// <summary>The same, and reads the answer as it is.</summary>
    public async Task<string> Text(HttpMethod method, string path, object? body = null, string? token = null)
    {
        var secret = (await File.ReadAllTextAsync(Path.Combine(DataDirectory, "secrets/token-secret"))).Trim();
        using var http = new HttpClient { BaseAddress = Address };
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : JsonContent.Create(body) };
        request.Headers.Add("auth-key", token ?? IssueToken.Sign(secret, "tester", superuser: true, TimeSpan.FromHours(1), DateTimeOffset.UtcNow));
        using var response = await http.SendAsync(request);
        var answer = await response.Content.ReadAsStringAsync();
        // What it could not do is in what it printed, and nowhere else.
        if (response.StatusCode == HttpStatusCode.InternalServerError)
            throw new InvalidOperationException($"{method} {path}: {answer}\n{Output[Math.Max(0, Output.Length - 6000)..]}");
        return answer;
    }

    /// <summary>Ends it as a crash does; returns when it is gone. Its PostgreSQL may take a moment longer.</summary>
    public async Task Kill()
    {
        Posix.Signal(process.Id, Posix.Kill);
        await process.WaitForExitAsync();
    }

    /// <summary>Sends a signal and answers the exit code.</summary>
    /// <param name="group">Whether its whole process group gets it, as from Ctrl-C in a terminal.</param>
    public async Task<int> Stop(int signal = 15, bool group = false)
    {
        Posix.Signal(group ? -process.Id : process.Id, signal);
        await process.WaitForExitAsync();
        await reading;
        return process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        await Kill();
        // The caller deletes the data directory next, and PostgreSQL is still writing to it.
        await Eventually.True(() => !File.Exists(Path.Combine(DataDirectory, "postgres/postmaster.pid")), "PostgreSQL has followed its host");
        process.Dispose();
    }

    private static async Task<(Process Process, StringBuilder Output, Task Reading)> Begin(ProcessStartInfo command, string[] capabilities)
    {
        if (capabilities.Length > 0)
        {
            var given = string.Concat(capabilities.Select(capability => $",+{capability}"));
            foreach (var set in (string[])["inh", "ambient"]) command.ArgumentList[command.ArgumentList.IndexOf($"--{set}-caps=-all")] += given;
        }

        var process = await Children.Start(command);
        process.StandardInput.Close();
        var output = new StringBuilder();
        return (process, output, Task.WhenAll(Read(process.StandardOutput, output), Read(process.StandardError, output)));
    }

    internal static ProcessStartInfo Command(
        string binary,
        string[] arguments,
        PostgresUser? user,
        string workingDirectory,
        (string Name, string Value)[] environment
    )
    {
        var command = Children.Command(user, "KILL", binary, arguments);
        command.WorkingDirectory = workingDirectory;
        foreach (var name in (string[])["HOME", "DOTNET_ROOT"])
        {
            if (Environment.GetEnvironmentVariable(name) is { } value)
                command.Environment[name] = value;
        }

        // As for TestHost; another user than the tests' own can run nothing but itself.
        if (user is null) command.Environment["Codo__RunAs"] = command.Environment["Codo__AllowRunAs"] = Environment.UserName;
        foreach (var (name, value) in environment)
            command.Environment[name] = value;
        return command;
    }

    private static async Task Read(StreamReader from, StringBuilder output)
    {
        while (await from.ReadLineAsync() is { } line)
        {
            lock (output)
                output.AppendLine(line);
        }
    }

    [GeneratedRegex("^Codo (?:is up: |已启动：)(http://[^ \n]+)", RegexOptions.Multiline)]
    private static partial Regex Listening();
}
