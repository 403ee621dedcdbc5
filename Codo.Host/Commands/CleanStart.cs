using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Codo.Host.Commands;

/// <summary>
/// Keeps settings that are secrets out of <c>/proc/PID/environ</c> and <c>/proc/PID/cmdline</c>, which show what a process was started with for as long as it
/// lives: the process replaces itself by the same program without them, and hands them over in a file that has no name. The process id stays.
/// </summary>
internal static partial class CleanStart
{
    private const string Descriptor = "CODO_SETTINGS_FD";
    private const string Diagnostics = "DOTNET_EnableDiagnostics";
    private const int SetDumpable = 4;
    private const uint ClosedOnExec = 4;

    /// <summary>What was handed over by the process that this one was before; or does not return, because the program starts again.</summary>
    /// <returns>The arguments, those that were handed over among them.</returns>
    public static string[] Take(string[] arguments)
    {
        // Neither ptrace nor /proc/PID/mem of another process that runs as the same user gets at what is in memory; no core dump either.
        _ = prctl(SetDumpable, 0, 0, 0, 0);
        // What whoever started the host had open (a lock, a socket) is no command's business, and a daemon that a job leaves would keep it for good.
        _ = close_range(3, uint.MaxValue, ClosedOnExec);
        if (Environment.GetEnvironmentVariable(Descriptor) is { } handed)
            return [.. arguments, .. Receive(handed)];
        var variables = Environment
            .GetEnvironmentVariables()
            .Cast<System.Collections.DictionaryEntry>()
            .ToDictionary(entry => (string)entry.Key, entry => (string?)entry.Value ?? "");
        var line = File.ReadAllText("/proc/self/cmdline").TrimEnd('\0').Split('\0');
        var (open, secret) = Divide(line);
        if (secret.Length > 0 || variables.Any(IsSecret)) Again(open, secret, variables);
        return arguments;
    }

    /// <summary>The words of a command line, and those of settings that are secrets.</summary>
    internal static (string[] Open, string[] Secret) Divide(string[] words)
    {
        var (open, secret) = (new List<string>(), new List<string>());
        for (var i = 0; i < words.Length; i++)
        {
            var (name, isWhole) = words[i].Split('=', 2) is [var first, _] ? (first, true) : (words[i], false);
            var isSecret = name.StartsWith("--", StringComparison.Ordinal) && SecretSetting().IsMatch(name);
            (isSecret ? secret : open).Add(words[i]);
            if (isSecret && !isWhole && i + 1 < words.Length) secret.Add(words[++i]);
        }

        return ([.. open], [.. secret]);
    }

    private static bool IsSecret(KeyValuePair<string, string> variable) => IsSetting(variable.Key) && SecretSetting().IsMatch(variable.Key);

    // DOTNET_ and ASPNETCORE_ configure the runtime, which reads them before any code of ours; settings of Codo's may stand behind these prefixes too.
    private static bool IsSetting(string name) => Setting().IsMatch(name);

    private static void Again(string[] words, string[] secret, Dictionary<string, string> variables)
    {
        var settings = variables.Where(variable => IsSetting(variable.Key)).ToDictionary();
        var content = JsonSerializer.SerializeToUtf8Bytes(new Handover(settings, secret));
        var file = memfd_create("codo-settings", 0);
        // Without such a file the settings stay where they were: an old kernel is no reason not to start.
        if (file < 0 || write(file, content, (nuint)content.Length) != content.Length) return;
        RemoveDebuggersFiles();
        foreach (var name in settings.Keys) variables.Remove(name);
        variables[Descriptor] = file.ToString(System.Globalization.CultureInfo.InvariantCulture);
        // The runtime's own door for debuggers would let any process of the same user read the memory.
        variables.TryAdd(Diagnostics, "0");
        _ = execve("/proc/self/exe", [.. words, null], [.. variables.Select(variable => $"{variable.Key}={variable.Value}"), null]);
        _ = close(file);
    }

    private static string[] Receive(string descriptor)
    {
        Environment.SetEnvironmentVariable(Descriptor, null);
        var path = $"/proc/self/fd/{int.Parse(descriptor, System.Globalization.CultureInfo.InvariantCulture)}";
        Handover? handover;
        using (var file = File.OpenRead(path)) handover = JsonSerializer.Deserialize<Handover>(file);
        _ = close(int.Parse(descriptor, System.Globalization.CultureInfo.InvariantCulture));
        // .NET keeps its own copy of the environment: the one that the kernel shows stays as it is.
        foreach (var (name, value) in handover!.Settings) Environment.SetEnvironmentVariable(name, value);
        return handover.Arguments;
    }

    // What the runtime made for this process id before it is replaced; the next one makes its own, or none.
    private static void RemoveDebuggersFiles()
    {
        foreach (var pattern in (string[])[$"dotnet-diagnostic-{Environment.ProcessId}-*", $"clr-debug-pipe-{Environment.ProcessId}-*"])
            foreach (var file in Directory.GetFiles(Path.GetTempPath(), pattern))
                File.Delete(file);
    }

    private sealed record Handover(Dictionary<string, string> Settings, string[] Arguments);

    [GeneratedRegex(
        "^((DOTNET_|ASPNETCORE_)?(Codo|ConnectionStrings|Kestrel)(__|:)|(CUSTOM|POSTGRESQL|SQL)CONNSTR_)",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant
    )]
    private static partial Regex Setting();

    [GeneratedRegex("ConnectionStrings|CONNSTR_|MasterKey|Secret|Password|Token|HeartbeatUrl", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex SecretSetting();

    [LibraryImport("libc")]
    private static partial int prctl(int option, ulong second, ulong third, ulong fourth, ulong fifth);

    [LibraryImport("libc")]
    private static partial int close_range(uint first, uint last, uint flags);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int memfd_create(string name, uint flags);

    [LibraryImport("libc")]
    private static partial nint write(int file, byte[] content, nuint length);

    [LibraryImport("libc")]
    private static partial int close(int file);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int execve(string path, string?[] arguments, string?[] environment);
}
