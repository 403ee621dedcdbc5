using System.Buffers.Binary;
using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Host.LocalServices;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Codo.Host.Commands;

/// <summary>
/// Signs a token that this installation takes. It needs the secret that the host uses and nothing else, so it works while a host runs and while none does.
/// </summary>
internal static class IssueToken
{
    public const int DefaultDays = 30;
    private const int MostDays = 366;
    private const int LongestName = 100;

    /// <summary>The ids of codo-admin's users are small numbers; ours begin where no such installation gets to.</summary>
    private const long FirstUserId = 1_000_000_000;

    public static Command Command()
    {
        var user = new Option<string>("--user")
        {
            Description = "The name that the token speaks for, written as the account is, upper and lower case included. The same name is the same user.",
            Required = true,
            HelpName = "NAME",
        };
        var superuser = new Option<bool>("--superuser") { Description = "May do everything." };
        var days = new Option<int>("--days")
        {
            Description = $"How long it is good, 1 to {MostDays} days.",
            DefaultValueFactory = _ => DefaultDays,
            HelpName = "N",
        };
        user.Validators.Add(given =>
        {
            if (given.GetValueOrDefault<string>() is not { } name || string.IsNullOrWhiteSpace(name) || name.Length > LongestName)
                given.AddError($"--user is a name of 1 to {LongestName} characters.");
        });
        days.Validators.Add(given =>
        {
            if (
                given.Tokens is [var text]
                && (!int.TryParse(text.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number is < 1 or > MostDays)
            )
                given.AddError($"--days is a number from 1 to {MostDays}.");
        });

        var command = new Command("token", "Print a token for the API.") { user, superuser, days };
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction(parsed =>
        {
            var secret = Secret(SettingSources.Add(new ConfigurationBuilder(), CommandLine.SettingsOf(parsed)).Build());
            Console.WriteLine(
                Sign(
                    secret,
                    parsed.GetRequiredValue(user).Trim(),
                    parsed.GetValue(superuser),
                    TimeSpan.FromDays(parsed.GetValue(days)),
                    TimeProvider.System.GetUtcNow()
                )
            );
        });
        return command;
    }

    /// <summary>The payload is the one of codo-admin's tokens (the contract's "Who is asking"), and a <c>jti</c> besides.</summary>
    public static string Sign(string secret, string name, bool superuser, TimeSpan life, DateTimeOffset now)
    {
        var payload = new JsonObject
        {
            ["exp"] = (now + life).ToUnixTimeSeconds(),
            ["nbf"] = now.ToUnixTimeSeconds(),
            ["iat"] = now.ToUnixTimeSeconds(),
            ["iss"] = "auth: ss",
            ["sub"] = "my token",
            ["jti"] = Guid.NewGuid().ToString("N"),
            ["data"] = new JsonObject
            {
                ["user_id"] = UserId(name),
                ["username"] = name,
                ["nickname"] = name,
                ["email"] = "",
                ["is_superuser"] = superuser,
            },
        };
        var key = new SigningCredentials(new SymmetricSecurityKey(Encoding.UTF8.GetBytes(secret)), SecurityAlgorithms.HmacSha256);
        return new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(payload.ToJsonString(JsonSerializerOptions.Default), key);
    }

    /// <summary>40 bits of the name's hash: stable on every node without a table of users, and exact in JavaScript's numbers.</summary>
    public static long UserId(string name)
    {
        Span<byte> number = stackalloc byte[8];
        SHA256.HashData(Encoding.UTF8.GetBytes(name)).AsSpan(0, 5).CopyTo(number[3..]);
        return FirstUserId + BinaryPrimitives.ReadInt64BigEndian(number);
    }

    /// <exception cref="StartRefused">No secret that a host uses is to be found: a token that nobody takes is worse than none.</exception>
    private static string Secret(IConfiguration configuration)
    {
        var directory = DataDirectory.Locate(configuration);
        if (
            string.IsNullOrEmpty(configuration[GeneratedSecrets.TokenSecret])
            && string.IsNullOrEmpty(configuration.GetConnectionString("Postgres"))
            && !GeneratedSecrets.IsKept(directory, GeneratedSecrets.TokenSecret)
        )
            throw new StartRefused(
                ($"There is no secret in {directory} to sign with. Start Codo once, or run this as the user and with the settings that Codo runs with "
                    + $"(Codo__DataDirectory, or Codo__Auth__TokenSecret).")
            );
        var secret = GeneratedSecrets.Resolve(configuration, GeneratedSecrets.TokenSecret, directory);
        if (GeneratedSecrets.IsAnother(directory, secret))
            throw new StartRefused(
                ($"Codo on {directory} runs with another token secret than the one found here: nobody would take the token. Run this with Codo's own "
                    + $"settings (Codo__Auth__TokenSecret).")
            );
        return secret;
    }
}
