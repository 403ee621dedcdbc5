using System.Collections.Concurrent;
using System.Globalization;

namespace Codo.Platform.Processes;

/// <summary>Names of users that processes run as; a number where the machine has no name for it.</summary>
internal static class UserNames
{
    private const int MostKept = 1000;

    private static readonly ConcurrentDictionary<uint, string> Names = new();

    public static string Of(uint id)
    {
        if (Names.Count > MostKept) Names.Clear();
        return Names.GetOrAdd(id, one => SystemUser.Find(one)?.Name ?? one.ToString(CultureInfo.InvariantCulture));
    }
}
