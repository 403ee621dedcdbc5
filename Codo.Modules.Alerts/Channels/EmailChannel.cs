using System.Security.Cryptography.X509Certificates;
using MailKit.Net.Smtp;
using MailKit.Security;
using MimeKit;

namespace Codo.Modules.Alerts.Channels;

/// <summary>E-mail over SMTP, as text.</summary>
internal sealed class EmailChannel : IChannel
{
    /// <summary>The setting that the mail server is given as it is.</summary>
    public const string Password = "password";

    /// <summary>The settings that say which server that is, and how it proves it.</summary>
    public static readonly string[] Server = ["host", "port", "security", "certificate_sha256"];

    public string Kind => "email";

    public IReadOnlyList<Field> Fields { get; } =
    [
        new("host"), new("port", Default: "587"), new("security", Default: "starttls", Allowed: ["starttls", "tls", "none"]), new("from"),
        new("username", Required: false), new(Password, Secret: true, Required: false),
        // For a server with a certificate of its own making: that certificate and no other.
        new("certificate_sha256", Required: false),
    ];

    public async Task<Outcome> Send(IReadOnlyDictionary<string, string> settings, Message message, CancellationToken cancellation)
    {
        var to = message.People.Where(person => person.Email.Length > 0).DistinctBy(person => person.Email, StringComparer.OrdinalIgnoreCase).ToList();
        if (to.Count == 0) return Outcome.NobodyHas("email");
        using var mail = new MimeMessage { Subject = message.Title, Body = new TextPart("plain") { Text = message.Text } };
        mail.From.Add(MailboxAddress.Parse(settings["from"]));
        mail.To.AddRange(to.Select(person => new MailboxAddress(person.Name, person.Email)));
        mail.Headers.Add("Auto-Submitted", "auto-generated");
        // As with HTTPS: a site without a way to the outside cannot ask an authority whether a certificate was revoked, and would get no mail.
        using var smtp = new Client { CheckCertificateRevocation = false };
        if (settings["certificate_sha256"] is { Length: > 0 } pinned)
        {
            smtp.ServerCertificateValidationCallback = (_, certificate, _, _) =>
                certificate is X509Certificate2 own
                && string.Equals(
                    own.GetCertHashString(System.Security.Cryptography.HashAlgorithmName.SHA256),
                    pinned.Replace(":", "", StringComparison.Ordinal),
                    StringComparison.OrdinalIgnoreCase
                );
        }
        try
        {
            await smtp.ConnectAsync(
                settings["host"],
                int.Parse(settings["port"], System.Globalization.CultureInfo.InvariantCulture),
                Security(settings["security"]),
                cancellation
            );
            if (settings["username"].Length > 0)
                await smtp.AuthenticateAsync(settings["username"], settings[Password], cancellation);
            var answer = await smtp.SendAsync(mail, cancellation);
            // It is taken; how the server says goodbye does not matter, and a second mail would.
            await smtp.DisconnectAsync(true, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return new Outcome(true, smtp.Refused.Count == 0 ? answer : $"{answer} (not for {string.Join("; ", smtp.Refused)})");
        }
        catch (SmtpCommandException error) when ((int)error.StatusCode is >= 500 and < 600 && error.ErrorCode == SmtpErrorCode.SenderNotAccepted)
        {
            return new Outcome(false, error.Message, Retry: false);
        }
        catch (SmtpCommandException error) when (smtp.Refused.Count == to.Count)
        {
            return new Outcome(false, $"{error.Message} {string.Join("; ", smtp.Refused)}", Retry: smtp.MayMend);
        }
    }

    private static SecureSocketOptions Security(string word) => word switch
    {
        "tls" => SecureSocketOptions.SslOnConnect,
        "none" => SecureSocketOptions.None,
        _ => SecureSocketOptions.StartTls,
    };

    // One address that is refused must not keep the mail from the others.
    private sealed class Client : SmtpClient
    {
        public List<string> Refused { get; } = [];

        /// <summary>Whether a refusal was for now only.</summary>
        public bool MayMend { get; private set; }

        protected override void OnRecipientNotAccepted(MimeMessage message, MailboxAddress mailbox, SmtpResponse response)
        {
            // Everybody who sees the incident reads this, and addresses are their owners' affair.
            Refused.Add(
                $"{mailbox.Name}: {(int)response.StatusCode} {response.Response.Replace(mailbox.Address, mailbox.Name, StringComparison.OrdinalIgnoreCase)}"
            );
            MayMend |= (int)response.StatusCode < 500;
        }
    }
}
