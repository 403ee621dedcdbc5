using System.Xml.Linq;
using Codo.Platform.Security;
using Dapper;
using Microsoft.AspNetCore.DataProtection.Repositories;
using Microsoft.AspNetCore.DataProtection.XmlEncryption;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>ASP.NET Core's Data Protection keys, in PostgreSQL: what one node has protected another one opens.</summary>
internal sealed class ProtectionKeys(NpgsqlDataSource source, ILogger<ProtectionKeys> log) : IXmlRepository
{
    private const string ListSql = """
        SELECT key_id, xml FROM accounts.data_protection_key ORDER BY key_id
        """;

    private const string StoreSql = """
        INSERT INTO accounts.data_protection_key (name, xml) VALUES (@Name, @Xml)
        """;

    public IReadOnlyCollection<XElement> GetAllElements()
    {
        using var connection = source.OpenConnection();
        var elements = new List<XElement>();
        foreach (var (id, xml) in connection.Query<(long, string)>(ListSql))
        {
            try
            {
                elements.Add(XElement.Parse(xml));
            }
            catch (System.Xml.XmlException failure)
            {
                log.LogWarning("The data protection key {KeyId} does not read and is left out: {Reason}", id, failure.Message);
            }
        }

        return elements;
    }

    public void StoreElement(XElement element, string friendlyName)
    {
        using var connection = source.OpenConnection();
        connection.Execute(StoreSql, new { Name = friendlyName, Xml = element.ToString(SaveOptions.DisableFormatting) });
    }
}

/// <summary>Seals what is secret in a key under the master key.</summary>
internal sealed class SealedXmlEncryptor(SecretBox box) : IXmlEncryptor
{
    internal const string Place = "accounts.data_protection_key.xml";

    public EncryptedXmlInfo Encrypt(XElement plaintextElement)
    {
        var value = Convert.ToBase64String(box.Seal(plaintextElement.ToString(SaveOptions.DisableFormatting), Place));
        return new EncryptedXmlInfo(new XElement("sealed", value), typeof(SealedXmlDecryptor));
    }
}

/// <summary>Opens it again; found by its name, which the stored key has.</summary>
internal sealed class SealedXmlDecryptor(IServiceProvider services) : IXmlDecryptor
{
    public XElement Decrypt(XElement encryptedElement) =>
        XElement.Parse(services.GetRequiredService<SecretBox>().Open(Convert.FromBase64String(encryptedElement.Value), SealedXmlEncryptor.Place));
}
