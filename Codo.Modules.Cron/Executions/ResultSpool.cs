using System.Text;
using System.Text.Json;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
using Codo.Platform.Processes;
using Microsoft.Extensions.Logging;

namespace Codo.Modules.Cron.Executions;

/// <summary>Results that wait in files while the database is away, so that they outlive this process.</summary>
internal sealed class ResultSpool(ExecutionStore store, NodeSettings node, ILogger<ResultSpool> log)
{
    /// <summary>Output that is too long for memory lies here as well.</summary>
    public string Folder => Path.Combine(node.DataDirectory, "spool", "cron");

    /// <summary>Puts a result into a file; false when that cannot be done either, which is logged.</summary>
    public bool Keep(ExecutionResult result)
    {
        try
        {
            Directory.CreateDirectory(Folder);
            var unfinished = FileOf(result) + ".part";
            File.WriteAllBytes(unfinished, JsonSerializer.SerializeToUtf8Bytes(result));
            File.Move(unfinished, FileOf(result), overwrite: true);
            return true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            log.LogError(error, "The result of execution {LogId} cannot be put aside while the database is away", result.Claimed.LogId);
            return false;
        }
    }

    public void Forget(ExecutionResult result) => File.Delete(FileOf(result));

    /// <summary>Records every result that an earlier incarnation put aside; a row that was settled meanwhile stays as it is.</summary>
    public async Task Replay()
    {
        if (!Directory.Exists(Folder)) return;
        foreach (var file in Directory.GetFiles(Folder, "*.json"))
        {
            try
            {
                var result = JsonSerializer.Deserialize<ExecutionResult>(await File.ReadAllBytesAsync(file));
                if (result is not { Claimed: { JobId: not null, RunId: not null }, Node: not null, Ending: not null, Output: not null })
                    throw new JsonException("It is no result of an execution.");
                await AppendOutput(result);
                if (await store.RecordEnd(result))
                    log.LogInformation(
                        "Execution {LogId} ended as {Status} while the database was away; it is recorded now",
                        result.Claimed.LogId,
                        result.Ending.Status.Word()
                    );
                File.Delete(file);
            }
            catch (Exception error) when (!DatabaseErrors.IsTransient(error))
            {
                // A power loss leaves empty and half-written files. The row of such an execution is recovered as interrupted.
                log.LogError(error, "The spooled result {File} does not read", Path.GetFileName(file));
                BadFiles.TrySetAside(node.DataDirectory, file, log);
            }
        }
    }

    /// <summary>Stores what the result holds of the output that did not reach the database; what it does not hold is told as missing.</summary>
    private async Task AppendOutput(ExecutionResult result)
    {
        try
        {
            if (await store.StoredOutput(result) is not { } stored || stored >= result.OutputBytes) return;
            // A result holds the beginning of its output. Where bytes were no text, its own length is not that of the output, and the pieces meet nearly.
            var bytes = Encoding.UTF8.GetBytes(result.Output);
            var from = (int)Math.Min(stored, bytes.Length);
            while (from < bytes.Length && (bytes[from] & 0b1100_0000) == 0b1000_0000) from++;
            if (from < bytes.Length)
            {
                var next = Math.Min(bytes.Length, result.OutputBytes);
                await store.AppendOutput(result.Claimed, stored, new OutputPart(0, Encoding.UTF8.GetString(bytes.AsSpan(from)), next));
                stored = next;
            }
            // Readers show a line in place of the bytes before a piece.
            if (stored < result.OutputBytes) await store.AppendOutput(result.Claimed, result.OutputBytes, new OutputPart(0, "", result.OutputBytes));
        }
        catch (Exception error) when (DatabaseErrors.IsPermanent(error))
        {
            // Its end is recorded all the same.
            log.LogError(error, "The output of execution {LogId} is not stored: PostgreSQL does not take it", result.Claimed.LogId);
        }
    }

    private string FileOf(ExecutionResult result) => Path.Combine(Folder, $"{result.Claimed.LogId}-{result.Claimed.Attempt}.json");
}
