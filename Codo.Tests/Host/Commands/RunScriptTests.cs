using Codo.Host.LocalServices;
using Codo.Tests.Support;

namespace Codo.Tests.Host.Commands;

/// <summary>What <c>run.sh</c> says while it builds. The compiler is a script of the test, which goes on when the test has read how far it is.</summary>
public sealed class RunScriptTests
{
    private const string Dotnet = """
        #!/bin/sh
        until_there() { until [ -e "$1" ]; do sleep 0.02; done; }
        [ "$1" = build ] || { echo 10.0.100; exit 0; }
        echo "  Determining projects to restore..."
        until_there restored
        echo "  Restored $PWD/Codo.Host/Codo.Host.csproj (in 1 sec)."
        [ ! -e broken ] || { echo "Codo.Host/Host.cs(1,1): error CS1002: ; expected"; exit 1; }
        for project in Codo.Platform Codo.Host; do
          until_there $project.built
          echo "  $project -> $PWD/$project/bin/Release/net10.0/$project.dll"
        done
        mkdir -p Codo.Host/bin/Release/net10.0
        printf '#!/bin/sh\necho "codo $*"\n' >Codo.Host/bin/Release/net10.0/codo
        chmod +x Codo.Host/bin/Release/net10.0/codo
        """;

    [Fact]
    public async Task It_says_what_it_does_and_how_far_the_build_is_and_builds_again_only_what_has_changed()
    {
        using var folder = new TestFolder();
        var source = PublishedHost.Root();
        foreach (var directory in (string[])[".ci", "deploy", "Codo.Host", "Codo.Platform", "Codo.Modules.One", "bin"])
            Directory.CreateDirectory(folder.At(directory));
        foreach (var script in (string[])["run.sh", ".ci/packages.sh"]) File.Copy(Path.Combine(source, script), folder.At(script));
        // No user is made on the machine of the tests.
        await Write("deploy/users.sh", "make_command_user() { :; }\n");
        foreach (var file in (string[])["Codo.Host/Codo.Host.csproj", "Codo.Platform/Codo.Platform.csproj", "global.json", "appsettings.json", "a.props"])
            await Write(file, "");
        await Write("bin/dotnet", Dotnet);
        File.SetUnixFileMode(folder.At("bin/dotnet"), UnixFileMode.UserRead | UnixFileMode.UserExecute);

        (string Said, string? Then)[] steps =
        [
            ("First build: a minute or two.", null),
            ("Building: getting packages", "restored"),
            ("Building: project 1 of 2", "Codo.Platform.built"),
            ("Building: project 2 of 2", "Codo.Host.built"),
        ];
        (await Run(steps)).ShouldBe((0, "codo token --user me\n", ""));
        (await Run([])).ShouldBe((0, "codo token --user me\n", ""), "what is built is not built again");
        // Started in the checkout, also by a link to it, the settings are those of the checkout; the client's commands have none.
        var link = folder.At("link");
        Directory.CreateSymbolicLink(link, folder.Path);
        var config = $" --config {folder.At("appsettings.json")}\n";
        (await RunIn(link, [], [])).ShouldBe((0, "codo" + config, ""));
        (await RunIn(folder.Path, [], ["--urls", "http://127.0.0.1:1"])).ShouldBe((0, "codo --urls http://127.0.0.1:1" + config, ""));
        (await RunIn(folder.Path, [], ["serve"])).ShouldBe((0, "codo serve" + config, ""));
        (await RunIn(folder.Path, [], ["job", "list"])).ShouldBe((0, "codo job list\n", ""));
        (await RunIn(folder.Path, [], ["--help"])).ShouldBe((0, "codo --help\n", ""));
        await Write("Codo.Host/Host.cs", "class");
        File.SetLastWriteTimeUtc(folder.At("Codo.Host/Host.cs"), DateTime.UtcNow.AddMinutes(1));
        await Write("broken", "");
        var (code, output, errors) = await Run([("The source has changed since the last build.", null)]);
        (code, output).ShouldBe((1, ""));
        errors.ShouldContain("error CS1002", customMessage: "what the compiler says is shown once it fails");

        Task<(int Code, string Output, string Errors)> Run((string Said, string? Then)[] expected) => RunIn("/", expected, ["token", "--user", "me"]);

        async Task<(int Code, string Output, string Errors)> RunIn(string directory, (string Said, string? Then)[] expected, string[] arguments)
        {
            var command = Children.Command(null, "KILL", "/bin/bash", [folder.At("run.sh"), .. arguments]);
            command.WorkingDirectory = directory;
            command.Environment["PWD"] = directory;
            command.Environment["PATH"] = $"{folder.At("bin")}:{Environment.GetEnvironmentVariable("PATH")}";
            using var process = await Children.Start(command);
            process.StandardInput.Close();
            foreach (var (said, then) in expected)
            {
                (await process.StandardError.ReadLineAsync(TestContext.Current.CancellationToken)).ShouldBe(said);
                if (then is not null) await Write(then, "");
            }
            var rest = await Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            await process.WaitForExitAsync();
            return (process.ExitCode, rest[0], rest[1]);
        }

        Task Write(string file, string text) => File.WriteAllTextAsync(folder.At(file), text);
    }
}
