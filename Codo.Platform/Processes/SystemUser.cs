using System.Runtime.InteropServices;

namespace Codo.Platform.Processes;

/// <summary>A user of this machine's operating system, as its name service (<c>/etc/passwd</c>, LDAP) knows it now.</summary>
/// <param name="Home">The home directory, which may not be there.</param>
public sealed partial record SystemUser(string Name, uint Id, uint Group, string Home, string Shell)
{
    private const int MostBytes = 64 * 1024;
    private const int MostGroups = 4096;

    /// <summary>Characters of a name, as <c>useradd</c> limits it.</summary>
    public const int MostName = 32;

    /// <summary>The user that this process runs as; its number where the machine has no name for it.</summary>
    public static SystemUser Own { get; } =
        Find(geteuid()) ?? new SystemUser(geteuid().ToString(System.Globalization.CultureInfo.InvariantCulture), geteuid(), getegid(), "/", "/bin/sh");

    /// <summary>The user of that name; null when there is none.</summary>
    public static SystemUser? Find(string name) => Read((entry, buffer) => getpwnam_r(name, entry, buffer, MostBytes, out var found) == 0 ? found : 0);

    /// <summary>The user of that number; null when the machine has no name for it.</summary>
    public static SystemUser? Find(uint id) => Read((entry, buffer) => getpwuid_r(id, entry, buffer, MostBytes, out var found) == 0 ? found : 0);

    /// <summary>The names of its groups, the first one and the supplementary ones.</summary>
    internal IReadOnlyList<string> GroupNames() => [.. GroupIds().Select(GroupName).OfType<string>()];

    /// <summary>Its groups, the first one and the supplementary ones.</summary>
    internal IReadOnlyList<uint> GroupIds()
    {
        var ids = new uint[MostGroups];
        var count = ids.Length;
        if (getgrouplist(Name, Group, ids, ref count) < 0) count = ids.Length;
        return [.. ids.Take(count)];
    }

    private static string? GroupName(uint id)
    {
        var (entry, buffer) = (Marshal.AllocHGlobal(Marshal.SizeOf<GroupEntry>()), Marshal.AllocHGlobal(MostBytes));
        try
        {
            return getgrgid_r(id, entry, buffer, MostBytes, out var found) == 0 && found != 0
                ? Marshal.PtrToStringUTF8(Marshal.PtrToStructure<GroupEntry>(found).Name)
                : null;
        }
        finally
        {
            Marshal.FreeHGlobal(entry);
            Marshal.FreeHGlobal(buffer);
        }
    }

    private static SystemUser? Read(Func<nint, nint, nint> find)
    {
        var (place, buffer) = (Marshal.AllocHGlobal(Marshal.SizeOf<UserEntry>()), Marshal.AllocHGlobal(MostBytes));
        try
        {
            if (find(place, buffer) is not (not 0 and var found)) return null;
            var entry = Marshal.PtrToStructure<UserEntry>(found);
            return new SystemUser(Text(entry.Name), entry.Id, entry.Group, Text(entry.Home), Text(entry.Shell));
        }
        finally
        {
            Marshal.FreeHGlobal(place);
            Marshal.FreeHGlobal(buffer);
        }

        static string Text(nint text) => Marshal.PtrToStringUTF8(text) ?? "";
    }

    [LibraryImport("libc")]
    private static partial uint geteuid();

    [LibraryImport("libc")]
    private static partial uint getegid();

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int getpwnam_r(string name, nint entry, nint buffer, nuint length, out nint found);

    [LibraryImport("libc")]
    private static partial int getpwuid_r(uint id, nint entry, nint buffer, nuint length, out nint found);

    [LibraryImport("libc")]
    private static partial int getgrgid_r(uint id, nint entry, nint buffer, nuint length, out nint found);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int getgrouplist(string user, uint group, [Out] uint[] groups, ref int count);

    // struct passwd and struct group of Linux, the same in glibc and musl.
    [StructLayout(LayoutKind.Sequential)]
    private struct UserEntry
    {
        public nint Name;
        public nint Password;
        public uint Id;
        public uint Group;
        public nint Comment;
        public nint Home;
        public nint Shell;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct GroupEntry
    {
        public nint Name;
        public nint Password;
        public uint Id;
        public nint Members;
    }
}
