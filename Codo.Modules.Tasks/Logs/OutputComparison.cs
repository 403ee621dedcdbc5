using System.Data;
using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Dapper;
using Npgsql;

namespace Codo.Modules.Tasks.Logs;

/// <summary>What is compared of a step on one host.</summary>
/// <param name="Attempt">The last; 0 where there was none.</param>
/// <param name="IsAlive">The node of that attempt is there.</param>
internal sealed record ComparedHost(
    string Host,
    long SchedId,
    string TaskStatus,
    int Attempt,
    int? ExitCode,
    string? Outcome,
    DateTime? StartedAt,
    DateTime? EndedAt,
    bool LogWhole,
    bool IsAlive
);

/// <summary>What one host printed, as a digest.</summary>
/// <param name="Lines">That were compared, without the command line.</param>
/// <param name="Partial">There is more output, which was not compared.</param>
internal sealed record OutputDigest(string Sha256, int Lines, bool Partial);

/// <summary>What is left out of a comparison, and how much of each output is compared.</summary>
/// <param name="Host">The host's own name counts as equal.</param>
/// <param name="Time">Dates and times of day count as equal.</param>
/// <param name="Lines">At most, of each host.</param>
internal sealed record ComparisonRule(bool Host, bool Time, int Lines);

/// <summary>
/// Reads the output of one step on many hosts, line by line, and keeps a digest of each: memory does not grow with the output. The time and what is read of a
/// host are bounded.
/// </summary>
internal sealed partial class OutputComparison(NpgsqlDataSource source)
{
    /// <summary>Bytes of one host's output that are compared.</summary>
    public const int MostBytes = 256 << 10;

    // Hosts of one statement. Its result is sorted, so that a batch must stay small.
    private const int BatchHosts = 16;

    private static readonly TimeSpan MostTime = TimeSpan.FromSeconds(5);

    // Lines carry the clock of their node, attempts that of PostgreSQL; a day is more than a node may be off.
    private static readonly TimeSpan Slack = TimeSpan.FromDays(1);

    // One line more than is compared, and the first that does not fit: they tell that there is more.
    private const string LinesSql = """
        SELECT a.place, l.line, l.log_info, COALESCE(l.had, 0) >= @Bytes AS is_over
        FROM unnest(CAST(@Scheds AS bigint[]), CAST(@Attempts AS int[])) WITH ORDINALITY AS a (sched_id, attempt, place)
        CROSS JOIN LATERAL (
            SELECT line, log_info, sum(octet_length(log_info)) OVER (ORDER BY line ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS had,
                sum(octet_length(log_info)) OVER (ORDER BY line ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS had_before
            FROM (
                SELECT line, log_info FROM tasks.log_line
                WHERE sched_id = a.sched_id AND attempt = a.attempt AND line <= @Most AND exec_time >= @Since AND exec_time < @Before
                UNION ALL
                SELECT line, log_info FROM tasks.sealed_line
                WHERE sched_id = a.sched_id AND attempt = a.attempt AND first_line <= @Most AND since >= @Since AND since < @Before
                    AND line <= @Most) both_tables) l
        WHERE COALESCE(l.had_before, 0) < @Bytes ORDER BY a.place, l.line
        """;

    [GeneratedRegex(@"\d{4}[-/]\d{2}[-/]\d{2}([T ]\d{2}:\d{2}(:\d{2})?([.,]\d+)?)?( ?(Z|[+-]\d{2}:?\d{2})\b)?|\b\d{1,2}:\d{2}:\d{2}([.,]\d+)?")]
    private static partial Regex Moment();

    /// <summary>A digest for each host, in their order; null for one whose output is not all in the database, or was not reached in time.</summary>
    public async Task<(IReadOnlyList<OutputDigest?> Digests, int Read)> Read(
        IReadOnlyList<ComparedHost> hosts,
        ComparisonRule rule,
        CancellationToken cancellation
    )
    {
        var digests = new OutputDigest?[hosts.Count];
        var began = Stopwatch.GetTimestamp();
        await using var connection = await source.OpenConnectionAsync(cancellation);
        for (var first = 0; first < hosts.Count; first += BatchHosts)
        {
            if (Stopwatch.GetElapsedTime(began) > MostTime) return (digests, first);
            var batch = hosts.Skip(first).Take(BatchHosts).ToList();
            using var digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var ends = new List<OutputEnd>();
            await Each(connection, batch, rule, Digest, Close, cancellation);
            foreach (var place in await GoOn(connection, batch, ends, cancellation)) digests[first + place] = null;

            void Digest(string line)
            {
                digest.AppendData(Encoding.UTF8.GetBytes(line));
                // No line has it, so that one long line is not two short ones.
                digest.AppendData("\n"u8);
            }

            void Close(OutputEnd end)
            {
                var sum = Convert.ToHexStringLower(digest.GetHashAndReset());
                if (end.Lacks) return;
                digests[first + end.Place] = new OutputDigest(sum, end.Lines, end.Partial);
                if (!end.Partial) ends.Add(end);
            }
        }
        return (digests, hosts.Count);
    }

    /// <summary>The lines of one host, as far as they are compared and as they are compared.</summary>
    public async Task<List<string>> Lines(ComparedHost host, ComparisonRule rule, CancellationToken cancellation)
    {
        var lines = new List<string>();
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await Each(connection, [host], rule, lines.Add, _ => { }, cancellation);
        return lines;
    }

    private static async Task Each(
        NpgsqlConnection connection,
        List<ComparedHost> batch,
        ComparisonRule rule,
        Action<string> line,
        Action<OutputEnd> close,
        CancellationToken cancellation
    )
    {
        var asked = new
        {
            Scheds = batch.Select(host => host.SchedId).ToArray(),
            Attempts = batch.Select(host => host.Attempt).ToArray(),
            // The command line is the first.
            Most = rule.Lines + 2L,
            Bytes = (long)MostBytes,
            Since = Since(batch),
            Before = Before(batch),
        };
        await using var reader = await connection.ExecuteReaderAsync(
            new CommandDefinition(LinesSql, asked, commandTimeout: 30, cancellationToken: cancellation),
            CommandBehavior.SequentialAccess
        );
        var (place, count, partial, names) = (-1, 0, false, new List<string>());
        var (last, lacks) = (0L, false);
        while (await reader.ReadAsync(cancellation))
        {
            var now = (int)reader.GetInt64(0) - 1;
            if (now != place)
            {
                if (place >= 0) close(new OutputEnd(place, count, partial, lacks, last));
                (place, count, partial, names) = (now, 0, false, Names(batch[now].Host));
                (last, lacks) = (0, false);
            }
            var number = reader.GetInt64(1);
            // A line that is lost would look like a difference.
            lacks |= number > last + 1;
            last = number;
            var text = reader.GetString(2);
            if (number == 1 && text.StartsWith("[CMD]", StringComparison.Ordinal)) continue;
            if (count >= rule.Lines || reader.GetBoolean(3))
            {
                partial = true;
                continue;
            }
            line(Normal(text, rule, names));
            count++;
        }
        if (place >= 0) close(new OutputEnd(place, count, partial, lacks, last));
    }

    // Which of those that seem to be over go on behind a gap that is longer than what is compared.
    private static async Task<List<int>> GoOn(NpgsqlConnection connection, List<ComparedHost> batch, List<OutputEnd> ends, CancellationToken cancellation)
    {
        if (ends.Count == 0) return [];
        var least = Since(batch);
        var asked = new
        {
            Scheds = ends.Select(end => batch[end.Place].SchedId).ToArray(),
            Attempts = ends.Select(end => batch[end.Place].Attempt).ToArray(),
            Afters = ends.Select(end => end.Last).ToArray(),
            Sinces = ends.Select(_ => least).ToArray(),
            Least = least,
            Before = (DateTime?)Before(batch),
        };
        var behind = await connection.QueryAsync<(long SchedId, int Attempt, long? Line)>(
            new CommandDefinition(SealedLog.NextSql, asked, commandTimeout: 30, cancellationToken: cancellation)
        );
        return [.. behind.Where(next => next.Line is not null).Select(next => batch.FindIndex(host => host.SchedId == next.SchedId))];
    }

    private static DateTime Since(List<ComparedHost> batch) => batch.Min(host => host.StartedAt!.Value) - Slack;

    private static DateTime Before(List<ComparedHost> batch) => batch.Max(host => host.EndedAt ?? DateTime.UnixEpoch.AddYears(200)) + Slack;

    /// <param name="Lacks">A line before another is lost.</param>
    /// <param name="Last">The number of the last line.</param>
    private sealed record OutputEnd(int Place, int Lines, bool Partial, bool Lacks, long Last);

    private static string Normal(string text, ComparisonRule rule, List<string> names)
    {
        if (rule.Host)
            foreach (var name in names) text = text.Replace(name, "<host>", StringComparison.OrdinalIgnoreCase);
        return rule.Time ? Moment().Replace(text, "<time>") : text;
    }

    // A host also calls itself by the first part of its name; a part of an address is no name.
    private static List<string> Names(string host)
    {
        var part = host.Split('.')[0];
        return part.Length > 2 && part.Length < host.Length && !System.Net.IPAddress.TryParse(host, out _) ? [host, part] : [host];
    }
}
