using System.Text.Json;
using System.Text.Json.Nodes;

namespace Codo.Host.Client;

/// <summary>One server that somebody is signed in to.</summary>
/// <param name="TokenId">Of a token that the sign-in made, so that the sign-out ends it; null for one that was given.</param>
internal sealed record Login(string Address, string Username, string Token, long? TokenId);

/// <summary>
/// The servers that this user is signed in to, in <c>~/.config/codo/logins.json</c> (mode 600). The environment goes before it: <c>CODO_URL</c> and
/// <c>CODO_TOKEN</c>.
/// </summary>
internal sealed class Logins
{
    public const string UrlVariable = "CODO_URL", TokenVariable = "CODO_TOKEN", FolderVariable = "CODO_CONFIG_DIR";

    private readonly ClientContext context;
    private readonly JsonObject content;

    private Logins(ClientContext context, JsonObject content) => (this.context, this.content) = (context, content);

    public static Logins Read(ClientContext context)
    {
        var file = File(context);
        if (!System.IO.File.Exists(file)) return new Logins(context, []);
        try
        {
            if ((System.IO.File.GetUnixFileMode(file) & (UnixFileMode)0b000_111_111) != 0)
                context.Warn($"{file} is open to other users of this machine: chmod 600 {file}");
            return new Logins(context, JsonNode.Parse(System.IO.File.ReadAllText(file)) as JsonObject ?? []);
        }
        catch (JsonException failure)
        {
            throw new ClientFailure($"{file} is not JSON: {failure.Message}");
        }
    }

    /// <summary>The server that commands go to, and the token for it.</summary>
    /// <param name="named"><c>--server</c>; null where it is not given.</param>
    /// <exception cref="ClientFailure">No server is known, or nobody is signed in to it.</exception>
    public static CodoServer Connect(ClientContext context, string? named)
    {
        var token = context.Variable(TokenVariable);
        var own = context.Variable(UrlVariable);
        // Given together they belong together: another server would see a token that is good at the first.
        if (named is not null && own is not null && Normal(named) != Normal(own)) token = null;
        var address = named ?? own;
        if (address is not null && token is not null) return new CodoServer(context, Address(address), token);
        var logins = Read(context);
        address = address is null ? logins.Current : Normal(address);
        if (address is null)
            throw new ClientFailure($"No server is known: sign in with codo login URL, or set {UrlVariable} and {TokenVariable}.", ExitCodes.NotSignedIn);
        token ??= logins.Find(address)?.Token ?? throw new ClientFailure($"Not signed in to {address}: codo login {address}", ExitCodes.NotSignedIn);
        return new CodoServer(context, new Uri(address), token);
    }

    /// <summary>The server of the last sign-in.</summary>
    public string? Current => content.Text("current") is { Length: > 0 } address ? address : null;

    public Login? Find(string address) =>
        (content["logins"] as JsonObject)?[address] is JsonObject login
            ? new Login(address, login.Text("username"), login.Text("token"), login.Number("token_id"))
            : null;

    public void Keep(Login login)
    {
        var all = content["logins"] as JsonObject ?? [];
        content["logins"] ??= all;
        all[login.Address] = new JsonObject { ["username"] = login.Username, ["token"] = login.Token, ["token_id"] = login.TokenId };
        content["current"] = login.Address;
        Write();
    }

    public void Forget(string address)
    {
        var all = content["logins"] as JsonObject ?? [];
        all.Remove(address);
        if (Current == address) content["current"] = all.Select(login => login.Key).FirstOrDefault() ?? "";
        Write();
    }

    /// <summary>An address as it is kept: with a scheme, without a slash at its end.</summary>
    public static string Normal(string address) => Address(address).ToString().TrimEnd('/');

    /// <summary>An address that somebody typed; https where it names no scheme, http for this machine.</summary>
    public static Uri Address(string address)
    {
        var whole = address.Contains("://", StringComparison.Ordinal) ? address
            : address.StartsWith("localhost", StringComparison.Ordinal) || address.StartsWith("127.", StringComparison.Ordinal) ? "http://" + address
            : "https://" + address;
        return Uri.TryCreate(whole, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri.Host.Length > 0
            ? uri
            : throw new ClientFailure($"{address} is no address of a server, such as https://codo.example.com", ExitCodes.Usage);
    }

    private static string File(ClientContext context) => Path.Combine(Folder(context), "logins.json");

    private static string Folder(ClientContext context) =>
        context.Variable(FolderVariable)
        ?? (context.Variable("XDG_CONFIG_HOME") is { } config ? Path.Combine(config, "codo") : null)
        ?? (context.Variable("HOME") is { } home ? Path.Combine(home, ".config/codo") : null)
        ?? throw new ClientFailure($"HOME is not set: name a directory in {FolderVariable}, or set {UrlVariable} and {TokenVariable}.");

    private void Write()
    {
        var folder = Folder(context);
        try
        {
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            // Beside it and renamed: two sign-ins at once leave one of the two whole, and the file never stands open.
            var written = Path.Combine(folder, $".logins-{Guid.NewGuid():N}");
            var options = new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            };
            using (var file = new StreamWriter(written, options)) file.Write(content.ToJsonString(Readable));
            System.IO.File.Move(written, File(context), overwrite: true);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new ClientFailure($"{folder}: {failure.Message}");
        }
    }

    private static readonly JsonSerializerOptions Readable = new() { WriteIndented = true };
}
