using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace Codo.Host.Client.Import;

/// <summary>What becomes of one line, or one job, of the program that is moved from.</summary>
/// <param name="Place">Where it stands: a file and a line, or a number.</param>
/// <param name="Source">The line as it is there.</param>
internal sealed record ImportItem(string Place, string Source)
{
    /// <summary>What is changed on the way, a sentence each; none where it means the same as it stands.</summary>
    public List<string> Changes { get; init; } = [];

    /// <summary>Why it is not taken; null where it is.</summary>
    public string? Refused { get; init; }

    /// <summary>The fields of the job, as the API takes them; null where there is none.</summary>
    public JsonObject? Job { get; init; }

    /// <summary>When the source would fire; null where that cannot be said.</summary>
    public SourceSchedule? Schedule { get; init; }

    /// <summary>Whether it is switched off there.</summary>
    public bool IsPaused { get; init; }

    public string Verdict => Refused is not null ? "refused" : Changes.Count > 0 ? "changed" : "taken";
}

/// <summary>Names for jobs that had none.</summary>
internal static class ImportName
{
    /// <summary>A name that is the same whenever the same text is imported, with a word of it in front for people.</summary>
    /// <param name="word">The word; what is no letter, digit, dot or hyphen of it is left out.</param>
    public static string Of(string word, params string[] identity)
    {
        var digest = SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\0', identity)));
        var plain = new string([.. word.Where(character => char.IsLetterOrDigit(character) || character is '.' or '-' or '_').Take(40)]).Trim('-', '.');
        return $"{(plain.Length == 0 ? "job" : plain)}-{Convert.ToHexStringLower(digest)[..8]}";
    }

    /// <summary>The word of a command that people would call it by: its first path, else its first word.</summary>
    public static string Word(string command)
    {
        var words = command.Split([' ', '\t', '\n', ';', '&', '|', '(', ')', '{', '}', '"', '\''], StringSplitOptions.RemoveEmptyEntries);
        var path = words.FirstOrDefault(word => word.Contains('/', StringComparison.Ordinal) && !word.StartsWith('>') && !IsShell(word));
        return System.IO.Path.GetFileName((path ?? words.FirstOrDefault(word => !word.Contains('=', StringComparison.Ordinal)) ?? "job").TrimEnd('/'));
    }

    private static bool IsShell(string word) => System.IO.Path.GetFileName(word) is "sh" or "bash" or "dash" or "env" or "test" or "nice" or "flock" or "null";
}
