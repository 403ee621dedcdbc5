using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Codo.Tests.Support;

namespace Codo.Tests.Host.LocalServices;

/// <summary>What publish.sh puts beside the one file: its bill of materials (CycloneDX) and the checksums.</summary>
public sealed class BillOfMaterialsTests(PublishedHost published)
{
    [Fact]
    public async Task Names_every_package_of_the_lock_file_and_the_runtime_with_purl_version_and_hash()
    {
        var file = await published.File;
        var bill = JsonNode.Parse(await File.ReadAllTextAsync($"{file}.cdx.json"))!;
        bill["bomFormat"]!.GetValue<string>().ShouldBe("CycloneDX");
        bill["specVersion"]!.GetValue<string>().ShouldBe("1.6");
        bill["serialNumber"]!.GetValue<string>().ShouldStartWith("urn:uuid:");
        var product = bill["metadata"]!["component"]!;
        (product["type"]!.GetValue<string>(), product["name"]!.GetValue<string>()).ShouldBe(("application", "codo"));
        (await HostProcess.Run(["--version"], binary: file)).Output.ShouldStartWith(product["version"]!.GetValue<string>());

        var components = bill["components"]!.AsArray();
        foreach (var component in components)
        {
            var (name, version) = (component!["name"]!.GetValue<string>(), component["version"]!.GetValue<string>());
            component["type"]!.GetValue<string>().ShouldBeOneOf("library", "framework");
            component["purl"]!.GetValue<string>().ShouldBe($"pkg:nuget/{name}@{version}");
            var hash = component["hashes"]!.AsArray().ShouldHaveSingleItem()!;
            (hash["alg"]!.GetValue<string>(), hash["content"]!.GetValue<string>()).ShouldSatisfyAllConditions(
                one => one.Item1.ShouldBe("SHA-512", name),
                one => one.Item2.ShouldMatch("^[0-9A-F]{128}$", name)
            );
        }

        components.Select(component => component!["bom-ref"]!.GetValue<string>()).ShouldBeUnique();
        var named = components.Select(component => $"{component!["name"]} {component["version"]}").ToList();
        named.Where(name => name.Contains(".App.Runtime.linux-x64 ", StringComparison.Ordinal)).Count().ShouldBe(2);
        // Analysers work at the build and are not in the file.
        var locked = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(PublishedHost.Root(), "Codo.Host/packages.lock.json")))!["dependencies"]![
            "net10.0"
        ]!
            .AsObject()
            .Where(package => package.Value!["type"]!.GetValue<string>() != "Project" && !package.Key.Contains("CodeAnalysis", StringComparison.Ordinal))
            .Select(package => $"{package.Key} {package.Value!["resolved"]}");
        named.Where(name => !name.Contains(".App.Runtime.", StringComparison.Ordinal)).ShouldBe(locked, ignoreOrder: true);
    }

    [Fact]
    public async Task The_checksums_are_those_of_the_files()
    {
        var folder = Path.GetDirectoryName(await published.File)!;
        var sums = (await File.ReadAllLinesAsync(Path.Combine(folder, "SHA256SUMS")))
            .Select(line => line.Split("  "))
            .ToDictionary(line => line[1], line => line[0]);
        sums.Keys.ShouldBe(["codo-linux-x64", "codo-linux-x64.cdx.json"], ignoreOrder: true);
        foreach (var (name, sum) in sums)
        {
            await using var file = File.OpenRead(Path.Combine(folder, name));
            Convert.ToHexStringLower(await SHA256.HashDataAsync(file, TestContext.Current.CancellationToken)).ShouldBe(sum, name);
        }
    }
}
