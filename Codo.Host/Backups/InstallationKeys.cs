using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Host.LocalServices;
using Codo.Platform.Security;

namespace Codo.Host.Backups;

/// <summary>
/// The keys of an installation, as a file of settings (<c>--config</c> reads it too): what opens the secrets of its database, and what signs its tokens.
/// </summary>
internal static class InstallationKeys
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>The keys that a host with these settings uses.</summary>
    /// <exception cref="StartRefused">One is neither set nor kept in the data directory.</exception>
    public static byte[] Of(IConfiguration configuration, string dataDirectory)
    {
        var old = new JsonObject();
        foreach (var key in configuration.GetSection("Codo:OldMasterKeys").GetChildren()) old[key.Key] = key.Value;
        var all = new JsonObject
        {
            ["Codo"] = new JsonObject
            {
                ["MasterKey"] = One(configuration, GeneratedSecrets.MasterKey, dataDirectory),
                ["MasterKeyNumber"] = configuration.GetValue("Codo:MasterKeyNumber", 1),
                ["OldMasterKeys"] = old,
                ["Auth"] = new JsonObject { ["TokenSecret"] = One(configuration, GeneratedSecrets.TokenSecret, dataDirectory) },
            },
        };
        return [.. JsonSerializer.SerializeToUtf8Bytes(all, Indented), (byte)'\n'];
    }

    /// <summary>Reads such a file.</summary>
    public static IConfiguration Read(Stream file, string name)
    {
        try
        {
            return new ConfigurationBuilder().AddJsonStream(file).Build();
        }
        catch (FormatException)
        {
            // The exception quotes what it stumbles over.
            throw new StartRefused($"{name} is no file of keys.");
        }
    }

    /// <summary>The keys of such a file, to open secrets with.</summary>
    public static SecretBox Box(byte[] file) => Composition.Secrets(Read(new MemoryStream(file), "The keys"));

    /// <summary>
    /// Puts the keys where a private installation keeps its own, unless the settings name them or the same are there.
    /// </summary>
    /// <param name="replace">Whether others may be put aside.</param>
    /// <returns>What <see cref="PutBack"/> takes.</returns>
    public static async Task<IReadOnlyList<KeptKey>> Keep(IConfiguration given, IConfiguration configuration, string dataDirectory, bool replace)
    {
        var number = given.GetValue("Codo:MasterKeyNumber", 1);
        if (string.IsNullOrEmpty(configuration[GeneratedSecrets.MasterKey]) && number != 1)
            throw new StartRefused(
                $"These keys have been changed before: the master key's number is {number.ToString(CultureInfo.InvariantCulture)}. Give them as settings, to "
                    + "this command and to the host: --config KEYS."
            );
        // A database that the restore makes itself keeps the keys that it was made with.
        var hasDatabase = File.Exists(Path.Combine(dataDirectory, "postgres", "PG_VERSION"));
        var kept = new List<KeptKey>();
        try
        {
            foreach (var key in (string[])[GeneratedSecrets.MasterKey, GeneratedSecrets.TokenSecret])
            {
                if (!string.IsNullOrEmpty(configuration[key]) || given[key] is not { Length: > 0 } value) continue;
                var path = GeneratedSecrets.PathOf(dataDirectory, key);
                string? aside = null;
                if (File.Exists(path))
                {
                    if ((await File.ReadAllTextAsync(path)).Trim() == value.Trim()) continue;
                    if (!replace)
                        throw new StartRefused($"{path} is another key. {RestoreBackup.Replace} puts it aside, and removes the database that it opens.");
                    aside = $"{path}.replaced-{Guid.NewGuid():N}";
                    File.Move(path, aside);
                }
                DataDirectory.Create(dataDirectory);
                Directory.CreateDirectory(Path.GetDirectoryName(path)!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
                if (aside is not null || hasDatabase) kept.Add(new KeptKey(path, aside));
                await SecretFile.Write(path, System.Text.Encoding.UTF8.GetBytes(value.Trim() + "\n"));
            }
        }
        catch
        {
            PutBack(kept);
            throw;
        }
        return kept;
    }

    /// <summary>Undoes <see cref="Keep"/>, for a restore that was refused: the database is the one of before, and so are its keys.</summary>
    public static void PutBack(IEnumerable<KeptKey> kept)
    {
        foreach (var (path, aside) in kept)
            if (aside is null) File.Delete(path);
            else File.Move(aside, path, overwrite: true);
    }

    private static string One(IConfiguration configuration, string key, string dataDirectory) =>
        !string.IsNullOrEmpty(configuration[key]) || GeneratedSecrets.IsKept(dataDirectory, key)
            ? GeneratedSecrets.Resolve(configuration, key, dataDirectory)
            : throw new StartRefused($"{key.Replace(":", "__", StringComparison.Ordinal)} is not set here: give this command the settings of the hosts.");
}

/// <summary>A key that was written for a restore.</summary>
/// <param name="Path">Its file.</param>
/// <param name="Aside">Where the one is that was there before; null where there was none.</param>
internal sealed record KeptKey(string Path, string? Aside);
