using System.Security.Cryptography;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;

namespace Codo.Host.Accounts;

/// <summary>
/// Hashes and checks passwords: ASP.NET Core Identity's hasher (PBKDF2 with HMAC-SHA512), a few at a time, since each costs a tenth of a second.
/// </summary>
internal sealed class Passwords : IDisposable
{
    private const int Iterations = 210_000, Least = 10, Most = 200, LeastDifferent = 5, MostWaiting = 64;

    private static readonly Lazy<HashSet<string>> Common = new(Read);

    private readonly PasswordHasher<object> hasher = new(Options.Create(new PasswordHasherOptions { IterationCount = Iterations }));
    private readonly SemaphoreSlim places = new(Math.Max(1, Environment.ProcessorCount / 2));
    private readonly Lazy<string> nobodys;
    private int waiting;
    private long checks;

    public Passwords() => nobodys = new(() => Hash(Random()));

    /// <summary>How many passwords were checked against a hash, whoever asked.</summary>
    public long Checks => Interlocked.Read(ref checks);

    /// <summary>A password that nobody guesses: 100 random bits, without letters that are read for others.</summary>
    public static string Random() => RandomNumberGenerator.GetString("abcdefghijkmnpqrstuvwxyz23456789", 20);

    /// <summary>What is wrong with a new password; null when nothing is.</summary>
    public static Text? Wrong(string username, string password)
    {
        if (password.Length < Least) return new Text($"密码至少 {Least} 个字符", $"A password has at least {Least} characters");
        if (password.Length > Most) return new Text($"密码最多 {Most} 个字符", $"A password has at most {Most} characters");
        var lower = password.ToLowerInvariant();
        if (Common.Value.Contains(lower) || lower.Distinct().Count() < LeastDifferent)
            return new Text("这个密码太常见，请换一个", "This password is among the commonest; choose another");
        return username.Length > 2 && lower.Contains(username.ToLowerInvariant(), StringComparison.Ordinal)
            ? new Text("密码不能包含用户名", "The password must not contain the username")
            : null;
    }

    public string Hash(string password) => hasher.HashPassword(this, password);

    /// <summary>Whether the password is the one. It takes the same time where there is no such account.</summary>
    /// <param name="hash">Null for an account that does not exist.</param>
    /// <exception cref="Platform.Http.Refusal">Too many wait already.</exception>
    public async Task<bool> Check(string? hash, string password, CancellationToken cancellation)
    {
        try
        {
            if (Interlocked.Increment(ref waiting) > MostWaiting) throw SignInLimit.TooMany(TimeSpan.FromSeconds(5));
            await places.WaitAsync(cancellation);
            try
            {
                Interlocked.Increment(ref checks);
                var verified = await Task.Run(() => hasher.VerifyHashedPassword(this, hash ?? nobodys.Value, password), cancellation);
                return hash is not null && verified != PasswordVerificationResult.Failed;
            }
            finally
            {
                places.Release();
            }
        }
        finally
        {
            Interlocked.Decrement(ref waiting);
        }
    }

    public void Dispose() => places.Dispose();

    private static HashSet<string> Read()
    {
        using var reader = new StreamReader(typeof(Passwords).Assembly.GetManifestResourceStream("Codo.Host.Accounts.common-passwords.txt")!);
        return reader.ReadToEnd().Split('\n').Where(line => line.Length > 0 && line[0] != '#').ToHashSet(StringComparer.Ordinal);
    }
}
