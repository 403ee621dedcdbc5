using System.Security.Cryptography;
using System.Text;
using Codo.Host.LocalServices;
using Codo.Platform.Data;
using Microsoft.IdentityModel.Tokens;

namespace Codo.Host.Auth;

/// <summary>
/// What tokens are signed and verified with: the first of the token secrets signs, all verify, so that a secret can be changed without an outage. Sign-ins here
/// are signed with a key that is derived from the secret: codo-admin, which has the secret too, takes them for nobody.
/// </summary>
internal sealed class SigningKeys
{
    /// <summary>Further secrets that verify.</summary>
    public const string FurtherSecrets = "Codo:Auth:TokenSecrets";

    private const int LeastBytes = 32;

    /// <exception cref="StartRefused">A further secret is too short.</exception>
    public SigningKeys(IConfiguration configuration)
    {
        string[] secrets = [configuration[GeneratedSecrets.TokenSecret]!, .. SettingsBinding.List(configuration, FurtherSecrets) ?? []];
        if (secrets.Any(secret => Encoding.UTF8.GetByteCount(secret) < LeastBytes))
            throw new StartRefused($"{FurtherSecrets}: a secret is shorter than {LeastBytes} bytes.");
        var sessions = secrets.Select(Derived).ToArray();
        Session = new SigningCredentials(sessions[0], SecurityAlgorithms.HmacSha256);
        All = [.. secrets.Select(secret => new SymmetricSecurityKey(Encoding.UTF8.GetBytes(secret))), .. sessions];
    }

    /// <summary>Signs sign-ins.</summary>
    public SigningCredentials Session { get; }

    /// <summary>Verify tokens.</summary>
    public IReadOnlyList<SecurityKey> All { get; }

    // The id lets the right key be tried first; it says nothing of the key.
    private static SymmetricSecurityKey Derived(string secret)
    {
        var key = HKDF.DeriveKey(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(secret), 32, info: "codo sessions"u8.ToArray());
        return new SymmetricSecurityKey(key) { KeyId = "s" + Convert.ToHexStringLower(HMACSHA256.HashData(key, "id"u8))[..8] };
    }
}
