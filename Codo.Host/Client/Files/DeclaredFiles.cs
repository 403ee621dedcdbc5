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

    /// <summary>Writes a file for each; answers how many were written.</summary>
    public static int Write(string directory, IReadOnlyList<Declared> all)
    {
        var written = 0;
        foreach (var one in all)
        {
            var file = FileOf(directory, one);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            var text = Yaml.Write(one.Kind.Short(one.Fields));
            if (File.Exists(file) && File.ReadAllText(file) == text) continue;
            File.WriteAllText(file, text, new UTF8Encoding(false));
            written++;
        }
        return written;
    }

    /// <summary>Files of ours, each in the folder of its kind, that are those of none of the things.</summary>
    public static List<string> Others(string directory, IReadOnlyList<Declared> all)
    {
        var files = all.Select(one => Path.GetFullPath(FileOf(directory, one))).ToHashSet(StringComparer.Ordinal);
        return
        [
            .. DeclaredKind
                .All.Select(kind => (Kind: kind, Folder: Path.Combine(directory, kind.Folder)))
                .Where(place => Directory.Exists(place.Folder))
                .SelectMany(place => Directory.GetFiles(place.Folder, "*.yaml").Where(file => FirstLine(file) == $"kind: {place.Kind.Word}"))
                .Where(file => !files.Contains(Path.GetFullPath(file))),
        ];
    }

    /// <summary>The kind and the space of each thing that a file of ours declares; empty is a space that it does not name.</summary>
    public static List<(string Kind, string Space)> PlacesIn(string file)
    {
        try
        {
            return [.. Yaml.Read(file, File.ReadAllText(file)).OfType<JsonObject>().Select(document => (document.Text("kind"), document.Text("space")))];
        }
        catch (ClientFailure)
        {
            // It does not read, as after a merge that nobody has finished: its first line is all that is known.
            return [(FirstLine(file)["kind: ".Length..], "")];
        }
    }

    private static string FirstLine(string file) => File.ReadLines(file).FirstOrDefault("");

    private static string FileOf(string directory, Declared one) => Path.Combine(directory, one.Kind.Folder, FileName(one.Name));

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
