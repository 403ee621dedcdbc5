using System.Globalization;
using System.Security.Cryptography;
using Codo.Platform.Data;
using Npgsql;

namespace Codo.Platform.Security;

/// <summary>This node's master key is not the one that the database's secrets are sealed with.</summary>
public sealed class MasterKeyIsAnother() : Exception(
    "Codo:MasterKey is not the key that this database's secrets are sealed with: set the same key on every node, or restore the backup of the old one. / "
    + "Codo:MasterKey 与此数据库中的密文不符：各节点必须使用同一密钥，或恢复原密钥的备份。");

/// <summary>Refuses a node with another key before it stores anything.</summary>
public static class MasterKeyCheck
{
    /// <summary>
    /// Where the check value of the first key is kept, in <c>platform.setting</c>; that of a later one has a dot and the key's number behind it.
    /// </summary>
    public const string Setting = "master_key_check";

    private const string Place = "platform.setting.master_key_check";

    /// <summary>Stores a check value at the first start with a key, and opens it at every other; that of the very first key always.</summary>
    /// <exception cref="MasterKeyIsAnother"/>
    public static async Task Verify(NpgsqlDataSource source, SecretBox box)
    {
        var own = Convert.ToBase64String(box.Seal("codo", Place));
        var first = await Settings.ReadOrKeep(source, Setting, own);
        if (!Opens(box, first)) throw new MasterKeyIsAnother();
        if (box.IsCurrent(Convert.FromBase64String(first))) return;
        var later = await Settings.ReadOrKeep(source, string.Create(CultureInfo.InvariantCulture, $"{Setting}.{box.Current}"), own);
        if (!Opens(box, later)) throw new MasterKeyIsAnother();
    }

    /// <summary>Whether the keys open a check value of a database.</summary>
    public static bool Opens(SecretBox box, string stored)
    {
        try
        {
            box.Open(Convert.FromBase64String(stored), Place);
            return true;
        }
        catch (Exception failure) when (failure is CryptographicException or FormatException)
        {
            return false;
        }
    }
}
