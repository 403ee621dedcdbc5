using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Codo.Host.Api;

/// <summary>
/// A body for each request that has one, from <c>examples.json</c>. In the order of the file, on an empty installation, each is accepted as it is; a test sends
/// them all.
/// </summary>
internal static class Examples
{
    private const string Resource = "Codo.Host.Api.examples.json";

    // No key that somebody could have is ever in the description: it is made anew for each process.
    private const string MadeKey = "PRIVATE_KEY";

    /// <summary>By method and path, such as <c>POST /v1/cron/job</c>.</summary>
    public static readonly IReadOnlyDictionary<string, JsonNode> All = Read();

    /// <summary>The example of a body; null where there is none.</summary>
    public static JsonNode? Of(string method, string path) => All.GetValueOrDefault($"{method} /{path.Trim('/')}")?.DeepClone();

    private static OrderedDictionary<string, JsonNode> Read()
    {
        using var stream = typeof(Examples).Assembly.GetManifestResourceStream(Resource)!;
        var examples = new OrderedDictionary<string, JsonNode>();
        foreach (
            var (request, body) in JsonNode.Parse(stream, documentOptions: new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip })!.AsObject()
        )
        {
            if ((string?)body!["user_key"] == MadeKey) body["user_key"] = NewKey();
            examples.Add(request, body.DeepClone());
        }
        return examples;
    }

    private static string NewKey()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return key.ExportPkcs8PrivateKeyPem();
    }
}
