using System.Reflection;
using System.Runtime.CompilerServices;
using Codo.Modules.Tasks.Hosts;
using Renci.SshNet;

namespace Codo.Tests.Modules.Tasks.Hosts;

/// <summary>
/// Private members of SSH.NET may go with any of its versions. Each that is gone is named here, and the file says which upstream issue it belongs to.
/// </summary>
public sealed class SshNetInternalsTests
{
    [Fact]
    public void Every_private_member_that_is_used_is_there()
    {
        var accessors = Accessors(typeof(SshNetInternals)).ToList();
        accessors.Count.ShouldBe(5);
        Gone(accessors).Concat(SshNetInternals.MissingByName()).ShouldBeEmpty("these members of SSH.NET are gone; see Hosts/SshNetInternals.cs");
    }

    [Fact]
    public void A_member_that_is_gone_is_named() =>
        Gone(Accessors(typeof(SshNetInternalsTests))).ShouldHaveSingleItem().ShouldContain("set_NoSuchProperty");

    [Fact]
    public void No_other_file_reaches_into_the_library() =>
        typeof(SshNetInternals).Assembly.GetTypes().Where(type => type != typeof(SshNetInternals)).SelectMany(Accessors).ShouldBeEmpty();

    private static IEnumerable<MethodInfo> Accessors(Type type) =>
        type.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly).Where(method =>
            method.GetCustomAttribute<UnsafeAccessorAttribute>() is not null);

    // The runtime looks for the member when it compiles the accessor.
    private static IEnumerable<string> Gone(IEnumerable<MethodInfo> accessors)
    {
        foreach (var accessor in accessors)
        {
            string? gone = null;
            try
            {
                RuntimeHelpers.PrepareMethod(accessor.MethodHandle);
            }
            catch (Exception missing) when (missing is MissingMemberException or TypeLoadException)
            {
                gone =
                    $"{accessor.Name}: {accessor.GetCustomAttribute<UnsafeAccessorAttribute>()!.Name} of {accessor.GetParameters()[0].ParameterType.Name} "
                        + $"({missing.Message})";
            }

            if (gone is not null) yield return gone;
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "set_NoSuchProperty")]
    private static extern void SetNothing(SshCommand command, Stream stream);
}
