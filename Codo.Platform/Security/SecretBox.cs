using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Codo.Platform.Security;

/// <summary>
/// Secrets at rest: AES-256-GCM under a key derived from <c>Codo:MasterKey</c>, the key's number in front of each value, so that keys can be changed.
/// </summary>
public sealed class SecretBox
{
    private const int NonceSize = 12, TagSize = 16, NumberSize = 4;
    private readonly Dictionary<int, byte[]> keys, digestKeys;
    private readonly int current;

    /// <param name="masterKeys">By number; what the operator has set as <c>Codo:MasterKey</c> and <c>Codo:OldMasterKeys</c>.</param>
    /// <param name="current">The number of the key that new values are sealed with.</param>
    public SecretBox(IReadOnlyDictionary<int, string> masterKeys, int current)
    {
        keys = masterKeys.ToDictionary(
            pair => pair.Key,
            pair => HKDF.DeriveKey(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(pair.Value), 32, info: "codo secrets"u8.ToArray())
        );
        digestKeys = masterKeys.ToDictionary(
            pair => pair.Key,
            pair => HKDF.DeriveKey(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(pair.Value), 32, info: "codo digests"u8.ToArray())
        );
        this.current = keys.ContainsKey(current) ? current : throw new ArgumentException($"there is no master key {current}", nameof(current));
    }

    /// <summary>Encrypts a text for one place; a value moved to another place does not open there.</summary>
    /// <param name="place">The table and column, for example <c>tasks.execute_user.user_key</c>.</param>
    public byte[] Seal(string secret, string place)
    {
        var plain = Encoding.UTF8.GetBytes(secret);
        var sealedValue = new byte[NumberSize + NonceSize + TagSize + plain.Length];
        BinaryPrimitives.WriteInt32BigEndian(sealedValue, current);
        var nonce = sealedValue.AsSpan(NumberSize, NonceSize);
        RandomNumberGenerator.Fill(nonce);
        using var aes = new AesGcm(keys[current], TagSize);
        aes.Encrypt(
            nonce,
            plain,
            sealedValue.AsSpan(NumberSize + NonceSize + TagSize),
            sealedValue.AsSpan(NumberSize + NonceSize, TagSize),
            Encoding.UTF8.GetBytes(place)
        );
        return sealedValue;
    }

    /// <summary>A digest that tells whether a text is the same, and does not let who has it guess the text: HMAC-SHA256, the key's number in front.</summary>
    /// <param name="place">As for <see cref="Seal"/>.</param>
    public string Digest(string text, string place) => Digest(text, place, current);

    /// <summary>The digests that a text may have been given under the keys of this node, that of the present key first.</summary>
    public IEnumerable<string> Digests(string text, string place) =>
        digestKeys.Keys.OrderByDescending(key => key == current).Select(key => Digest(text, place, key));

    /// <summary>Whether a digest is that of this text, under whichever key of this node it was made.</summary>
    public bool IsDigest(string digest, string text, string place) =>
        digest.Split(':') is [var number, _]
        && int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var key)
        && digestKeys.ContainsKey(key)
        && CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(digest), Encoding.ASCII.GetBytes(Digest(text, place, key)));

    /// <summary>The number of the key that new values are made with.</summary>
    public int Current => current;

    /// <summary>Whether a value is sealed with the key that new values are sealed with, by its number.</summary>
    public bool IsCurrent(byte[] value) => value.Length >= NumberSize && BinaryPrimitives.ReadInt32BigEndian(value) == current;

    /// <summary>Whether this node has the master key of that number.</summary>
    public bool Has(int key) => keys.ContainsKey(key);

    /// <summary>A digest of what does not fit into memory at once, under the key of that number.</summary>
    /// <param name="place">As for <see cref="Seal"/>.</param>
    /// <exception cref="KeyNotFoundException">This node has no such key.</exception>
    public IncrementalHash StartDigest(string place, int key)
    {
        var hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, digestKeys[key]);
        hash.AppendData(Encoding.UTF8.GetBytes($"{place}\0"));
        return hash;
    }

    /// <summary>The same as <see cref="Digest(string, string)"/>, under the key of that number.</summary>
    /// <exception cref="KeyNotFoundException">This node has no such key.</exception>
    public string DigestUnder(int key, string text, string place) => Digest(text, place, key);

    private string Digest(string text, string place, int key)
    {
        var digest = HMACSHA256.HashData(digestKeys[key], Encoding.UTF8.GetBytes($"{place}\0{text}"));
        return $"{key.ToString(CultureInfo.InvariantCulture)}:{Convert.ToHexStringLower(digest)}";
    }

    /// <summary>The text that was sealed for this place.</summary>
    /// <exception cref="CryptographicException">The key is not among this node's, or the value was changed or moved.</exception>
    public string Open(byte[] value, string place)
    {
        if (value.Length < NumberSize + NonceSize + TagSize) throw new CryptographicException("the stored secret is too short");
        var number = BinaryPrimitives.ReadInt32BigEndian(value);
        if (!keys.TryGetValue(number, out var key)) throw new CryptographicException($"master key {number} is not set on this node");
        var plain = new byte[value.Length - NumberSize - NonceSize - TagSize];
        using var aes = new AesGcm(key, TagSize);
        aes.Decrypt(
            value.AsSpan(NumberSize, NonceSize),
            value.AsSpan(NumberSize + NonceSize + TagSize),
            value.AsSpan(NumberSize + NonceSize, TagSize),
            plain,
            Encoding.UTF8.GetBytes(place)
        );
        return Encoding.UTF8.GetString(plain);
    }
}
