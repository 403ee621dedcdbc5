namespace Codo.Host.Client;

/// <summary>Ends a command of the client: one sentence on standard error (none where it is empty), and an exit code.</summary>
internal sealed class ClientFailure(string sentence, int exitCode = ExitCodes.Failed) : Exception(sentence)
{
    public int ExitCode { get; } = exitCode;

    /// <summary>Whether the same request may well succeed a moment later: a server that restarts, fails over or is full.</summary>
    public bool IsTransient { get; init; }
}

/// <summary>How the client ends. Scripts compare with these, so that none is given a second meaning; docs/terminal.md lists them.</summary>
internal static class ExitCodes
{
    /// <summary>It was done; an order or a run that was waited for ended well.</summary>
    public const int Done = 0;

    /// <summary>The server refused it, there is no such thing, or what was waited for ended badly.</summary>
    public const int Failed = 1;

    /// <summary>Files and server differ: <c>diff</c>, and <c>apply</c> that was not confirmed.</summary>
    public const int Differs = 2;

    /// <summary>Nobody is signed in, or the token is no longer good.</summary>
    public const int NotSignedIn = 4;

    /// <summary>The server cannot be reached, cannot answer for now (HTTP 429 or 5xx), or does not answer as Codo does.</summary>
    public const int Unreachable = 5;

    /// <summary>The command line is wrong (EX_USAGE of sysexits.h).</summary>
    public const int Usage = 64;

    /// <summary><c>--timeout</c> has passed, as of timeout(1).</summary>
    public const int TimedOut = 124;

    /// <summary>Ctrl-C.</summary>
    public const int Interrupted = 130;

    /// <summary>Whoever read standard output has gone, as of a program that SIGPIPE ends.</summary>
    public const int NoReader = 141;
}
