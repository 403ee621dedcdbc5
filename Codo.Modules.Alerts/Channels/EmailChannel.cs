using System.Security.Cryptography.X509Certificates;
using MailKit.Net.Smtp;
using MailKit.Security;
using MimeKit;

namespace Codo.Modules.Alerts.Channels;

/// <summary>E-mail over SMTP, as text.</summary>
internal sealed class EmailChannel : IChannel
{
    public string Kind => "email";

    public IReadOnlyList<Field> Fields { get; } =
    [
        new("host"), new("port", Default: "587"), new("security", Default: "starttls", Allowed: ["starttls", "tls", "none"]), new("from"),
        new("username", Required: false), new("password", Secret: true, Required: false),
        // For a server with a certificate of its own making: that certificate and no other.
        new("certificate_sha256", Required: false),
    ];

    public async Task<Outcome> Send(IReadOnlyDictionary<string, string> settings, Message message, CancellationToken cancellation)
    {
        var to = message.People.Where(person => person.Email.Length > 0).Select(person => (person.Name, person.Email)).Distinct().ToList();
        if (to.Count == 0) return Outcome.NobodyHas("email");
        using var mail = new MimeMessage { Subject = message.Title, Body = new TextPart("plain") { Text = message.Text } };
        mail.From.Add(MailboxAddress.Parse(settings["from"]));
        mail.To.AddRange(to.Select(person => new MailboxAddress(person.Name, person.Email)));
        mail.Headers.Add("Auto-Submitted", "auto-generated");
        using var smtp = new SmtpClient();
        if (settings["certificate_sha256"] is { Length: > 0 } pinned)
        {
            smtp.ServerCertificateValidationCallback = (_, certificate, _, _) =>
                certificate is X509Certificate2 own && string.Equals(own.GetCertHashString(System.Security.Cryptography.HashAlgorithmName.SHA256), pinned.Replace(":", "", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase);
        }
        try
        {
            await smtp.ConnectAsync(settings["host"], int.Parse(settings["port"], System.Globalization.CultureInfo.InvariantCulture), Security(settings["security"]), cancellation);
            if (settings["username"].Length > 0) await smtp.AuthenticateAsync(settings["username"], settings["password"], cancellation);
            var answer = await smtp.SendAsync(mail, cancellation);
            await smtp.DisconnectAsync(true, cancellation);
            return new Outcome(true, answer);
        }
        catch (SmtpCommandException error) when ((int)error.StatusCode is >= 500 and < 600 && error.ErrorCode is SmtpErrorCode.RecipientNotAccepted or SmtpErrorCode.SenderNotAccepted)
        {
            return new Outcome(false, error.Message, Retry: false);
        }
    }

    private static SecureSocketOptions Security(string word) => word switch
    {
        "tls" => SecureSocketOptions.SslOnConnect,
        "none" => SecureSocketOptions.None,
        _ => SecureSocketOptions.StartTls,
    };
}
