using System.Globalization;
using Codo.Platform.Http;
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
        UPDATE accounts.own_account SET otp_key = @Key, otp_step = 0 WHERE user_id = @UserId AND NOT otp_on AND otp_key IS NULL
        """;

    // Of the very key that the code was checked with: one that was taken away meanwhile is not turned on again.
    private const string TakeSql = """
        UPDATE accounts.own_account SET otp_on = true, otp_step = @Step WHERE user_id = @UserId AND otp_step < @Step AND otp_key = @OtpKey
        """;

    public static readonly Refusal IsOn = Refusal.Conflict("已经启用一次性验证码", "One-time codes are on already");

    // A step before and after the present one: clocks of telephones differ.
    private static readonly VerificationWindow Window = new(previous: 1, future: 1);

    /// <summary>The key as people type it, and as an authenticator reads it from a link or a picture of it.</summary>
    public static (string Key, string Uri) Shown(byte[] key, string username)
    {
        var text = Base32Encoding.ToString(key).TrimEnd('=');
        return (text, $"otpauth://totp/Codo:{Uri.EscapeDataString(username)}?secret={text}&issuer=Codo");
    }

    /// <summary>The key that is to be confirmed by a first code; the one from before while it is not confirmed, so that two pages show the same.</summary>
    /// <exception cref="Refusal">A key is in force: nobody is shown that again.</exception>
    public async Task<byte[]> Pending(NpgsqlConnection connection, NpgsqlTransaction? transaction, OwnAccount account)
    {
        if (account.OtpOn) throw IsOn;
        if (account.OtpKey is not null) return Open(account);
        var key = KeyGeneration.GenerateRandomKey(KeyBytes);
        var kept = await connection.ExecuteAsync(
            KeepSql,
            new { account.UserId, Key = box.Seal(Convert.ToBase64String(key), Place(account.UserId)) },
            transaction
        );
        if (kept == 1) return key;
        // Another request was first: its key is the one.
        return await OwnAccount.Find(connection, transaction, account.UserId) is { OtpOn: false, OtpKey: not null } now ? Open(now) : throw IsOn;
    }

    /// <summary>Whether the code is good; takes it, and confirms a key that was pending.</summary>
    public async Task<bool> Take(NpgsqlConnection connection, NpgsqlTransaction? transaction, OwnAccount account, string code)
    {
        if (account.OtpKey is null) return false;
        var digits = code.Replace(" ", "", StringComparison.Ordinal);
        return new Totp(Open(account)).VerifyTotp(time.GetUtcNow().UtcDateTime, digits, out var step, Window)
            && await connection.ExecuteAsync(TakeSql, new { account.UserId, account.OtpKey, Step = step }, transaction) == 1;
    }

    private byte[] Open(OwnAccount account) => Convert.FromBase64String(box.Open(account.OtpKey!, Place(account.UserId)));

    private static string Place(long userId) => string.Create(CultureInfo.InvariantCulture, $"accounts.own_account.otp_key.{userId}");
}
