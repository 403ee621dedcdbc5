using System.Collections.Concurrent;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Platform.Ui;

/// <summary>
/// The console's scripts and styles, embedded in the assemblies. One hash of them all is in each address, so that modules import each other by relative paths
/// and a browser keeps them for ever.
/// </summary>
public sealed partial class Assets
{
    private const string Folder = "assets/";

    private readonly Dictionary<string, byte[]> files = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<(string Name, string Encoding), byte[]> compressed = new();
    private readonly ConcurrentDictionary<string, string[]> imports = new(StringComparer.Ordinal);

    public Assets(IEnumerable<AssetSource> sources)
    {
        foreach (var assembly in sources.Select(source => source.Assembly))
            foreach (var name in assembly.GetManifestResourceNames().Where(name => name.StartsWith(Folder, StringComparison.Ordinal)))
                files.Add(name[Folder.Length..], Read(assembly.GetManifestResourceStream(name)!));
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (name, bytes) in files.OrderBy(file => file.Key, StringComparer.Ordinal))
        {
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes(name));
            hash.AppendData(bytes);
        }
        Version = Convert.ToHexStringLower(hash.GetHashAndReset())[..12];
    }

    /// <summary>The hash of all files.</summary>
    public string Version { get; }

    /// <summary>The names of all files.</summary>
    public IEnumerable<string> Names => files.Keys;

    /// <summary>The address of a file.</summary>
    public string Address(string name) => $"/assets/{Version}/{name}";

    /// <summary>The modules that these import, and those import in turn: a browser is told of them at once, and not as it reads one after the other.</summary>
    public IReadOnlyList<string> ImportsOf(IEnumerable<string> scripts)
    {
        var found = scripts.ToList();
        var asked = found.Count;
        for (var at = 0; at < found.Count; at++)
            found.AddRange(imports.GetOrAdd(found[at], ReadImports).Except(found));
        return found[asked..];
    }

    /// <summary>Bytes of a file as it goes out.</summary>
    /// <param name="encoding"><c>br</c>, <c>gzip</c>, or empty.</param>
    public byte[]? Bytes(string name, string encoding) =>
        !files.TryGetValue(name, out var bytes) ? null
        : encoding.Length == 0 ? bytes
        : compressed.GetOrAdd((name, encoding), _ => Compress(bytes, encoding));

    internal static async Task Handle(HttpContext context)
    {
        var assets = context.RequestServices.GetRequiredService<Assets>();
        var name = (string)context.Request.RouteValues["name"]!;
        var accepted = context.Request.Headers.AcceptEncoding.ToString();
        var encoding =
            accepted.Contains("br", StringComparison.Ordinal) ? "br"
            : accepted.Contains("gzip", StringComparison.Ordinal) ? "gzip"
            : "";
        if (assets.Bytes(name, encoding) is not { } bytes)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        var headers = context.Response.Headers;
        headers.ContentType = name.EndsWith(".css", StringComparison.Ordinal) ? "text/css; charset=utf-8"
            : name.EndsWith(".svg", StringComparison.Ordinal) ? "image/svg+xml"
            : "text/javascript; charset=utf-8";
        // Another version is the file of a page that was opened before an upgrade: it gets today's, and no cache keeps it under the wrong name.
        var isCurrent = (string)context.Request.RouteValues["version"]! == assets.Version;
        headers.CacheControl = isCurrent ? "public, max-age=31536000, immutable" : "no-store";
        headers.Vary = "Accept-Encoding";
        if (encoding.Length > 0) headers.ContentEncoding = encoding;
        context.Response.ContentLength = bytes.Length;
        await context.Response.Body.WriteAsync(bytes, context.RequestAborted);
    }

    private static byte[] Compress(byte[] bytes, string encoding)
    {
        using var target = new MemoryStream();
        // The smallest size is a sixth less, and costs the first page after a start 0.1 s of a processor.
        const CompressionLevel level = CompressionLevel.Optimal;
        using (Stream packed = encoding == "br" ? new BrotliStream(target, level) : new GZipStream(target, level)) packed.Write(bytes);
        return target.ToArray();
    }

    private string[] ReadImports(string name) =>
        files.TryGetValue(name, out var bytes)
            ? [.. Imported().Matches(System.Text.Encoding.UTF8.GetString(bytes)).Select(match => match.Groups["name"].Value).Distinct(StringComparer.Ordinal)]
            : [];

    [GeneratedRegex(@"^import .* from '\./(?<name>[\w-]+\.js)';", RegexOptions.Multiline | RegexOptions.CultureInvariant)]
    private static partial Regex Imported();

    private static byte[] Read(Stream stream)
    {
        using var target = new MemoryStream();
        using (stream) stream.CopyTo(target);
        return target.ToArray();
    }
}
