using System.Globalization;
using Codo.Platform.Security;
using Dapper;
using Npgsql;
using OtpNet;

namespace Codo.Host.Accounts;

/// <summary>The second factor: codes of six digits by the time (RFC 6238), as every authenticator shows them. A code is good once.</summary>
internal sealed class OneTimeCodes(SecretBox box, TimeProvider time)
{
    private const int KeyBytes = 20;

    private const string KeepSql = """
        UPDATE accounts.own_account SET otp_key = @Key, otp_on = false, otp_step = 0 WHERE user_id = @UserId AND NOT otp_on
        """;

    private const string TakeSql = """
        UPDATE accounts.own_account SET otp_on = true, otp_step = @Step WHERE user_id = @UserId AND otp_step < @Step
        """;

    // A step before and after the present one: clocks of telephones differ.
    private static readonly VerificationWindow Window = new(previous: 1, future: 1);

    /// <summary>The key as people type it, and as an authenticator reads it from a link or a picture of it.</summary>
    public static (string Key, string Uri) Shown(byte[] key, string username)
    {
        var text = Base32Encoding.ToString(key).TrimEnd('=');
        return (text, $"otpauth://totp/Codo:{Uri.EscapeDataString(username)}?secret={text}&issuer=Codo");
    }

    /// <summary>The key that is to be confirmed by a first code; the one from before while it is not confirmed, so that two pages show the same.</summary>
    public async Task<byte[]> Pending(NpgsqlConnection connection, NpgsqlTransaction? transaction, OwnAccount account)
    {
        if (account.OtpKey is not null) return Open(account);
        var key = KeyGeneration.GenerateRandomKey(KeyBytes);
        await connection.ExecuteAsync(
            KeepSql,
            new { account.UserId, Key = box.Seal(Convert.ToBase64String(key), Place(account.UserId)) },
            transaction
        );
        return key;
    }

    /// <summary>Whether the code is good; takes it, and confirms a key that was pending.</summary>
    public async Task<bool> Take(NpgsqlConnection connection, NpgsqlTransaction? transaction, OwnAccount account, string code)
    {
        if (account.OtpKey is null) return false;
        var digits = code.Replace(" ", "", StringComparison.Ordinal);
        return new Totp(Open(account)).VerifyTotp(time.GetUtcNow().UtcDateTime, digits, out var step, Window)
            && await connection.ExecuteAsync(TakeSql, new { account.UserId, Step = step }, transaction) == 1;
    }

    private byte[] Open(OwnAccount account) => Convert.FromBase64String(box.Open(account.OtpKey!, Place(account.UserId)));

    private static string Place(long userId) => string.Create(CultureInfo.InvariantCulture, $"accounts.own_account.otp_key.{userId}");
}
