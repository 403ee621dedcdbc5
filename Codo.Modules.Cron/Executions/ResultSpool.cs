using System.Text.Json;
using Codo.Platform.Cluster;
using Codo.Platform.Data;
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
                log.LogError(
                    error,
                    "The spooled result {File} does not read; it is set aside in {Folder}",
                    Path.GetFileName(file),
                    BadFiles.FolderOf(node.DataDirectory)
                );
                BadFiles.SetAside(node.DataDirectory, file);
            }
        }
    }

    private string FileOf(ExecutionResult result) => Path.Combine(Folder, $"{result.Claimed.LogId}-{result.Claimed.Attempt}.json");
}
