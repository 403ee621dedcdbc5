using System.Text;
using System.Text.Json.Nodes;

namespace Codo.Host.Client.Files;

/// <summary>A directory of YAML files: <c>jobs/</c>, <c>templates/</c> and <c>rules/</c>, a file each. Every file below it is read, wherever it lies.</summary>
internal static class DeclaredFiles
{
    private static readonly string[] Endings = [".yaml", ".yml", ".json"];

    /// <summary>What the files of a directory declare.</summary>
    /// <exception cref="ClientFailure">A file is not YAML, is of no kind, or declares what another one does.</exception>
    public static List<Declared> Read(string directory)
    {
        if (!Directory.Exists(directory)) throw new ClientFailure($"There is no directory {directory}.");
        var found = new List<Declared>();
        foreach (var file in Files(directory))
            foreach (var document in Yaml.Read(file, InputFile.Read(file).GetAwaiter().GetResult()).OfType<JsonObject>())
            {
                // A file of some other program may lie beside ours.
                if (document["kind"] is null) continue;
                var kind =
                    DeclaredKind.All.FirstOrDefault(kind => kind.Word == document.Text("kind"))
                    ?? throw new ClientFailure($"{file}: kind is one of {string.Join(", ", DeclaredKind.All.Select(kind => kind.Word))}.");
                var name = document.Text(kind.NameField);
                if (name.Length == 0) throw new ClientFailure($"{file}: {kind.NameField} is missing.");
                if (found.FirstOrDefault(other => other.Kind == kind && other.Name == name) is { } twice)
                    throw new ClientFailure($"{file}: the {kind.Word} {name} is in {twice.Place} as well.");
                found.Add(new Declared(kind, name, kind.Whole(document, file)) { Place = file });
            }
        return found;
    }

    /// <summary>Writes a file for each, and removes those of ours that are no longer there; answers how many were written and removed.</summary>
    public static (int Written, int Removed) Write(string directory, IReadOnlyList<Declared> all)
    {
        var kept = new HashSet<string>(StringComparer.Ordinal);
        var written = 0;
        foreach (var one in all)
        {
            var file = Path.Combine(directory, one.Kind.Folder, FileName(one.Name));
            kept.Add(Path.GetFullPath(file));
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            var text = Yaml.Write(one.Kind.Short(one.Fields));
            if (File.Exists(file) && File.ReadAllText(file) == text) continue;
            File.WriteAllText(file, text, new UTF8Encoding(false));
            written++;
        }

        var gone = DeclaredKind
            .All.Select(kind => (Kind: kind, Folder: Path.Combine(directory, kind.Folder)))
            .Where(place => Directory.Exists(place.Folder))
            .SelectMany(place => Directory.GetFiles(place.Folder, "*.yaml").Where(file => File.ReadLines(file).FirstOrDefault() == $"kind: {place.Kind.Word}"))
            .Where(file => !kept.Contains(Path.GetFullPath(file)))
            .ToList();
        gone.ForEach(File.Delete);
        return (written, gone.Count);
    }

    private static IEnumerable<string> Files(string directory) =>
        Directory
            .EnumerateFiles(directory, "*", SearchOption.AllDirectories)
            .Where(file => Endings.Contains(Path.GetExtension(file)) && !Path.GetRelativePath(directory, file).Split('/').Any(part => part.StartsWith('.')))
            .Order(StringComparer.Ordinal);

    // A name may hold what a file's may not. 255 bytes are the most of it.
    private static string FileName(string name)
    {
        var safe = new StringBuilder();
        foreach (var character in name)
            if (
                character is '/' or '\\' or '%' or ':' || char.IsControl(character) || (character == '.' && safe.Length == 0)
            ) safe.Append($"%{(int)character:X2}");
            else safe.Append(character);
        var text = safe.ToString();
        return (Encoding.UTF8.GetByteCount(text) <= 240 ? text : Import.ImportName.Of("", name)) + ".yaml";
    }
}
