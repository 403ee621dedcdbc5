using Codo.Platform.Localization;
using Codo.Platform.Security;
using Microsoft.AspNetCore.Components;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Codo.Platform.Ui;

/// <summary>Where an entry stands in the sidebar.</summary>
public enum NavigationGroup
{
    Overview,
    Schedules,
    Work,
    Library,
    Watch,
    System,
}

/// <summary>An entry of the sidebar.</summary>
/// <param name="Rank">Its place within the group.</param>
/// <param name="SuperuserOnly">Others do not see it.</param>
/// <param name="IsPart">A page within another one: the palette finds it, the sidebar does not show it.</param>
public sealed record NavigationItem(
    NavigationGroup Group,
    int Rank,
    Text Name,
    string Path,
    string Icon,
    bool SuperuserOnly = false,
    bool IsPart = false
);

/// <summary>A number in the header, such as what runs now.</summary>
/// <param name="Rank">Its place.</param>
/// <param name="Topic">The live topic that changes it.</param>
/// <param name="Count">Reads it for a caller.</param>
/// <param name="One">Its name where it is 1; null where that is the same.</param>
public sealed record HeaderFigure(
    int Rank,
    Text Name,
    string Path,
    string Icon,
    string Tone,
    string Topic,
    Func<NpgsqlConnection, Access, Task<long>> Count,
    Text? One = null
)
{
    public Text NameOf(long count) => count == 1 ? One ?? Name : Name;
}

/// <summary>Where a panel stands on the first page.</summary>
public enum HomePlace
{
    NeedsMe,
    Running,
    Next,
    Past,
}

/// <summary>A module's part of the first page: a component without parameters but the page.</summary>
public sealed record HomePanel(HomePlace Place, int Rank, Type Component, string Topic);

/// <summary>How a module adds its parts.</summary>
public static class ConsoleParts
{
    public static IServiceCollection AddNavigation(
        this IServiceCollection services,
        NavigationGroup group,
        int rank,
        Text name,
        string path,
        string icon,
        bool superuserOnly = false
    ) => services.AddSingleton(new NavigationItem(group, rank, name, path, icon, superuserOnly));

    /// <summary>A page within another one, for the palette.</summary>
    public static IServiceCollection AddNavigationPart(this IServiceCollection services, NavigationGroup group, Text name, string path) =>
        services.AddSingleton(new NavigationItem(group, int.MaxValue, name, path, "", IsPart: true));

    public static IServiceCollection AddHomePanel<TPanel>(this IServiceCollection services, HomePlace place, int rank, string topic)
        where TPanel : IComponent => services.AddSingleton(new HomePanel(place, rank, typeof(TPanel), topic));
}
