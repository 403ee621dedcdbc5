using System.Data;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Npgsql;
using Polly;
using Polly.Retry;

namespace Codo.Platform.Data;

/// <summary>
/// The one place that tells apart what a database error means: transient ones are tried again, permanent ones are recorded as the cause and never repeated.
/// </summary>
public static class DatabaseErrors
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100), LongestPause = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Whether the same statement may succeed later: PostgreSQL cannot be reached, has no connection to give, does not answer in time, or ended one of two
    /// transactions that were in each other's way.
    /// Everything else that PostgreSQL or Npgsql refuses (a NUL in a text, a violated constraint, a value out of range) is permanent.
    /// </summary>
    public static bool IsTransient(Exception error) =>
        error switch
        {
            // 57P: shutting down, starting up or an administrator's end; 53: no resources; 08: connection; 57014: statement timeout; 55P03: lock timeout;
            // 40001, 40P01: serialization failure, deadlock; 25006: a standby that has not been promoted yet.
            PostgresException { SqlState: var state } => state is "57014" or "55P03" or "40001" or "40P01" or "25006"
                || state.StartsWith("57P", StringComparison.Ordinal)
                || state.StartsWith("53", StringComparison.Ordinal)
                || state.StartsWith("08", StringComparison.Ordinal),
            // Without an answer of PostgreSQL it is the connection. What Npgsql cannot send at all (a lone surrogate) is wrapped by it, and would fail again.
            NpgsqlException { InnerException: ArgumentException or InvalidCastException or FormatException } => false,
            NpgsqlException => true,
            TimeoutException => true,
            // See ForgetPrepared: Npgsql has closed the connection, and the statement succeeds over another.
            _ => error.GetType() == typeof(Exception) && error.Message.EndsWith("Please file a bug.", StringComparison.Ordinal),
        };

    /// <summary>
    /// Whether PostgreSQL cannot be reached or has no place now, and nothing is set wrong as far as that can be told: a start waits for it. Npgsql's own
    /// refusals (a password that is not there) have no cause behind them; of several hosts none may have been promoted yet.
    /// </summary>
    public static bool IsAway(Exception error) =>
        error switch
        {
            // Where a name cannot be resolved. What else a socket refuses comes wrapped, or is none of PostgreSQL's.
            SocketException { SocketErrorCode: SocketError.HostNotFound or SocketError.TryAgain or SocketError.NoData or SocketError.NoRecovery } => true,
            TimeoutException or NpgsqlException { IsTransient: true } => true,
            PostgresException => IsTransient(error),
            NpgsqlException { InnerException: AggregateException several } => several.InnerExceptions.All(one => one is SocketException || IsAway(one)),
            NpgsqlException { InnerException: null, Message: "No suitable host was found." } => true,
            _ => false,
        };

    /// <summary>What failed, of several hosts each.</summary>
    public static string Causes(Exception error) =>
        error.InnerException is AggregateException several ? string.Join("; ", several.InnerExceptions.Select(one => one.Message).Distinct()) : error.Message;

    /// <summary>
    /// Lets a connection prepare its statements anew, after one was cut off. One that fails while Npgsql prepares it stays prepared without its columns, and
    /// Npgsql cannot read its next answer (its issue 6391).
    /// </summary>
    /// <param name="connection">Open, and in no failed transaction.</param>
    public static void ForgetPrepared(NpgsqlConnection connection) => connection.UnprepareAll();

    /// <summary>
    /// Whether PostgreSQL, or Npgsql before it, refused what it was given, so that giving it again is pointless; or Dapper could not read what is there.
    /// </summary>
    public static bool IsPermanent(Exception error) =>
        error is (NpgsqlException or ArgumentException or InvalidCastException or FormatException or OverflowException or DataException)
        && !IsTransient(error);

    /// <summary>
    /// Whether a statement waited for a lock longer than <c>lock_timeout</c> (55P03). Transient; in a batch it concerns one row only, and the rest goes on.
    /// </summary>
    public static bool IsLockTimeout(Exception error) => error is PostgresException { SqlState: PostgresErrorCodes.LockNotAvailable };

    /// <summary>
    /// Repeats what fails transiently until it succeeds or the token is cancelled, with growing pauses up to 2 s. A permanent failure is the caller's.
    /// </summary>
    /// <param name="what">For the log: what waits.</param>
    public static ResiliencePipeline UntilAnswered(ILogger log, string what) => new ResiliencePipelineBuilder().AddRetry(new RetryStrategyOptions
    {
        ShouldHandle = arguments => ValueTask.FromResult(arguments.Outcome.Exception is { } error && IsTransient(error)),
        MaxRetryAttempts = int.MaxValue,
        BackoffType = DelayBackoffType.Exponential,
        UseJitter = true,
        Delay = FirstPause,
        MaxDelay = LongestPause,
        OnRetry = arguments =>
        {
            log.LogWarning(arguments.Outcome.Exception, "{What} waits for PostgreSQL, attempt {Attempt}", what, arguments.AttemptNumber + 1);
            return ValueTask.CompletedTask;
        },
    }).Build();
}
