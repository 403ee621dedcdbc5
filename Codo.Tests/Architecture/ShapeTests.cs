using System.Reflection;
using System.Runtime.CompilerServices;
using Codo.Modules.Alerts;
using Codo.Modules.Cron;
using Codo.Modules.Tasks;
using Codo.Platform.Data;
using MediatR;

namespace Codo.Tests.Architecture;

/// <summary>
/// The shape that the compiler does not hold by itself. Each rule is a function that lists what breaks it, so that a test can show that it finds something.
/// </summary>
public sealed class ShapeTests
{
    private static readonly Assembly Platform = typeof(Migrator).Assembly;
    private static readonly Assembly[] Modules = [typeof(CronModule).Assembly, typeof(TasksModule).Assembly, typeof(AlertsModule).Assembly];
    private static readonly string[] Folders = ["Http", "Data", "Processes", "Cluster", "Security", "Events", "Dashboard", "Ui", "Localization", "Telemetry"];
    private static readonly string[] PrivateWords =
    [
        "News", "Telling", "Tiding", "Trouble", "Settling", "Going", "Leftover", "Leftovers", "Upkeep",
        "Bound", "Handlers", "Wake", "UnderWay", "Look", "Lines", "Paths", "Requests",
        "Exposure", "Sight", "Endings", "DatabaseTurns", "LogRest", "Behind", "Place", "Face", "Say", "Wording", "Beginning",
    ];

    private static readonly string[] PrivateMembers = ["News", "Telling", "Trouble", "Going", "Leftovers", "UnderWay", "Look", "Behind"];

    private static readonly string[] EmptyWords = ["Dto", "Service", "Manager", "Helper", "Utils", "Impl"];

    [Fact]
    public void A_module_shows_its_module_class_and_nothing_else()
    {
        foreach (var module in Modules) Shown(module).ShouldBe([module.GetName().Name!.Split('.')[^1] + "Module"]);
        Shown(typeof(ShapeTests).Assembly).Count.ShouldBeGreaterThan(1, "the rule finds what is public");
    }

    [Fact]
    public void Everything_in_a_module_is_sealed()
    {
        foreach (var module in Modules) Open(module).ShouldBeEmpty();
        Open(typeof(FluentValidation.AbstractValidator<>).Assembly).ShouldNotBeEmpty("the rule finds what is open");
    }

    [Fact]
    public void Modules_do_not_know_each_other()
    {
        foreach (var module in Modules)
            Modules.Where(other => other != module).Select(other => other.GetName().Name).Intersect(References(module)).ShouldBeEmpty(module.FullName);
        References(typeof(Codo.Host.LegacyPathPrefixes).Assembly).ShouldContain("Codo.Modules.Cron", "the rule finds a reference");
    }

    [Fact]
    public void Platform_has_its_ten_folders_and_no_others() =>
        Own(Platform).Select(type => type.Namespace!.Split('.').ElementAtOrDefault(2) ?? "").Distinct().ShouldBe(Folders, ignoreOrder: true);

    [Fact]
    public void Platform_says_nothing_of_jobs_orders_or_alerts_but_in_what_modules_promise_each_other() =>
        Own(Platform)
            .Where(type =>
                type.Namespace != "Codo.Platform.Events"
                && new[] { "Job", "Order", "Lane", "Incident", "Schedule" }.Any(word => type.Name.Contains(word, StringComparison.Ordinal))
            )
            .ShouldBeEmpty();

    [Fact]
    public void No_name_says_nothing() =>
        Modules
            .Append(Platform)
            .Append(typeof(Codo.Host.LegacyPathPrefixes).Assembly)
            .SelectMany(Own)
            .Where(type => EmptyWords.Any(word => type.Name.EndsWith(word, StringComparison.Ordinal)))
            .ShouldBeEmpty();

    [Fact]
    public void No_type_is_called_by_a_word_that_a_reader_from_outside_would_not_guess() =>
        new[] { Platform, typeof(Codo.Host.LegacyPathPrefixes).Assembly }
            .Concat(Modules)
            .SelectMany(Own)
            .Where(type => PrivateWords.Contains(type.Name, StringComparer.Ordinal))
            .ShouldBeEmpty();

    [Fact]
    public void No_method_property_or_constant_is_called_by_one_either() =>
        new[] { Platform, typeof(Codo.Host.LegacyPathPrefixes).Assembly }
            .Concat(Modules)
            .SelectMany(Own)
            .SelectMany(type =>
                type.GetMembers(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly)
            )
            .Where(member => PrivateMembers.Any(word => member.Name == word || member.Name == word + "Sql"))
            .Select(member => $"{member.DeclaringType}.{member.Name}")
            .ShouldBeEmpty();

    [Fact]
    public void No_file_name_stands_twice_in_a_project()
    {
        var root = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(File())!, "../.."));
        string[] projects = ["Codo.Host", "Codo.Platform", "Codo.Modules.Cron", "Codo.Modules.Tasks", "Codo.Modules.Alerts"];
        foreach (var project in projects)
            Directory
                .GetFiles(Path.Combine(root, project), "*.cs", SearchOption.AllDirectories)
                .Where(file => !file.Contains("/obj/", StringComparison.Ordinal) && !file.Contains("/bin/", StringComparison.Ordinal))
                .GroupBy(Path.GetFileName)
                .Where(files => files.Count() > 1)
                .ShouldBeEmpty(project);
    }

    [Fact]
    public void No_two_folders_of_a_module_use_each_other()
    {
        var root = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(File())!, "../.."));
        foreach (var module in Modules.Select(module => module.GetName().Name!))
        {
            var uses = Uses(Path.Combine(root, module), module);
            uses.ShouldNotBeEmpty("the rule finds who uses whom");
            uses.Where(use => uses.Contains((use.To, use.From))).ShouldBeEmpty(module);
        }
    }

    private static HashSet<(string From, string To)> Uses(string folder, string module) =>
        Directory
            .GetDirectories(folder)
            .SelectMany(inner => Directory.GetFiles(inner, "*.cs").Select(file => (From: Path.GetFileName(inner), Text: System.IO.File.ReadAllText(file))))
            .SelectMany(file =>
                System
                    .Text.RegularExpressions.Regex.Matches(file.Text, $@"{System.Text.RegularExpressions.Regex.Escape(module)}\.(\w+)[;.]")
                    .Select(match => (file.From, To: match.Groups[1].Value))
            )
            .Where(use => use.From != use.To)
            .ToHashSet();

    private static string File([CallerFilePath] string file = "") => file;

    [Fact]
    public void A_handler_never_sends_a_request() =>
        Modules
            .SelectMany(Own)
            .Where(type => type.GetInterfaces().Any(face => face.IsGenericType && face.GetGenericTypeDefinition() == typeof(IRequestHandler<,>)))
            .Where(type =>
                type.GetConstructors().Any(constructor => constructor.GetParameters().Any(parameter => parameter.ParameterType == typeof(IMediator)))
            )
            .ShouldBeEmpty();

    // The Razor compiler makes a public class of each _Imports.razor.
    private const string RazorImports = "_Imports";

    private static List<string> Shown(Assembly assembly) =>
        assembly
            .GetExportedTypes()
            .Where(type => !typeof(Microsoft.AspNetCore.Components.IComponent).IsAssignableFrom(type) && type.Name != RazorImports)
            .Select(type => type.Name)
            .ToList();

    // The runtime derives from a DispatchProxy, which so cannot be sealed.
    private static List<string> Open(Assembly assembly) =>
        Own(assembly)
            .Where(type => type is { IsClass: true, IsSealed: false, IsAbstract: false, Name: not RazorImports })
            .Where(type => !typeof(DispatchProxy).IsAssignableFrom(type))
            .Select(type => type.FullName!)
            .ToList();

    private static IEnumerable<string?> References(Assembly assembly) => assembly.GetReferencedAssemblies().Select(name => name.Name);

    private static IEnumerable<Type> Own(Assembly assembly) =>
        assembly
            .GetTypes()
            .Where(type =>
                type.GetCustomAttribute<CompilerGeneratedAttribute>() is null
                && type.Namespace?.StartsWith(assembly.GetName().Name is "codo" ? "Codo" : assembly.GetName().Name!.Split('.')[0], StringComparison.Ordinal)
                    == true
                && !type.FullName!.Contains('<', StringComparison.Ordinal)
            );
}
