using System.Reflection;
using System.Runtime.CompilerServices;
using Renci.SshNet;
using Renci.SshNet.Messages;
using Renci.SshNet.Messages.Connection;

namespace Codo.Modules.Tasks.Hosts;

/// <summary>
/// Every private member of SSH.NET that Codo uses, each with the upstream issue that would make it unnecessary. A new version of the library may lack one:
/// <c>SshNetInternalsTests</c> names it.
/// </summary>
internal static class SshNetInternals
{
    // The library's own types that are not public, and their members, found by name.
    private const string ServiceFactory = "Renci.SshNet.IServiceFactory, Renci.SshNet", Connector = "Renci.SshNet.Connection.IConnector, Renci.SshNet";
    private const string ServiceFactoryField = "_serviceFactory", CreateSession = "CreateSession", CreateConnector = "CreateConnector",
        ConnectorConnect = "Connect";

    private const BindingFlags Hidden = BindingFlags.Instance | BindingFlags.NonPublic;

    /// <summary>The session of a connected client.</summary>
    /// <remarks>https://github.com/sshnet/SSH.NET/issues/1684: a client cannot be asked whether its host still answers. <see cref="Session"/> is public, the
    /// way to it is not.</remarks>
    public static Session SessionOf(BaseClient client) => (Session)GetSession(client);

    /// <summary>Sends a message; waits while the session's keys change, and for room in the socket.</summary>
    /// <remarks>https://github.com/sshnet/SSH.NET/issues/1684 for the keep-alive; https://github.com/sshnet/SSH.NET/issues/732 for a forwarded
    /// stream.</remarks>
    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "SendMessage")]
    public static extern void Send(Session session, Message message);

    /// <summary>A global request, such as a keep-alive that asks for an answer.</summary>
    /// <remarks>https://github.com/sshnet/SSH.NET/issues/1684: <see cref="BaseClient.SendKeepAlive"/> asks for none.</remarks>
    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    public static extern GlobalRequestMessage Request(byte[] requestName, bool wantReply);

    /// <summary>Where a command's output goes, instead of a buffer without bound.</summary>
    /// <remarks>https://github.com/sshnet/SSH.NET/issues/1608</remarks>
    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "set_OutputStream")]
    public static extern void SetOutput(SshCommand command, Stream stream);

    /// <summary>The same for what a command writes to its standard error.</summary>
    /// <remarks>https://github.com/sshnet/SSH.NET/issues/1608</remarks>
    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "set_ExtendedOutputStream")]
    public static extern void SetErrorOutput(SshCommand command, Stream stream);

    /// <summary>
    /// Lets a client connect over a socket of the caller's: one whose connect has a time limit that holds, or one end of a stream through a bastion.
    /// </summary>
    /// <param name="open">Called once for each connect, on the thread that connects; its exceptions pass through.</param>
    /// <remarks>https://github.com/sshnet/SSH.NET/issues/732 and https://github.com/sshnet/SSH.NET/issues/481: a client connects to an address only.</remarks>
    public static void ConnectOver(BaseClient client, Func<System.Net.Sockets.Socket> open)
    {
        var connector = Proxy(ConnectorType, (_, _) => open());
        var field = Field(typeof(BaseClient));
        var factory = field.GetValue(client)!;
        object? instead = null;
        instead = Proxy(ServiceFactoryType, (method, arguments) =>
        {
            if (method.Name == CreateConnector) return connector;
            var made = method.Invoke(factory, BindingFlags.DoNotWrapExceptions, null, arguments, null);
            // A session keeps the factory that made it, and asks it for its connector.
            if (method.Name == CreateSession) Field(typeof(Session)).SetValue(made, instead);
            return made;
        });
        // The field is read-only to the library's own code; reflection may set it.
        field.SetValue(client, instead);
    }

    /// <summary>The members that reflection looks for and does not find, for the test that names them.</summary>
    internal static IEnumerable<string> MissingByName()
    {
        foreach (var type in (string[])[ServiceFactory, Connector]) if (Type.GetType(type) is null) yield return type;
        foreach (var method in (string[])[CreateSession, CreateConnector])
            if (Type.GetType(ServiceFactory)?.GetMethod(method) is null) yield return $"{ServiceFactory}: {method}";
        if (Type.GetType(Connector)?.GetMethod(ConnectorConnect) is null) yield return $"{Connector}: {ConnectorConnect}";
        foreach (var type in (Type[])[typeof(BaseClient), typeof(Session)])
            if (type.GetField(ServiceFactoryField, Hidden) is null) yield return $"{type.Name}.{ServiceFactoryField}";
    }

    private static Type ServiceFactoryType => Type.GetType(ServiceFactory, throwOnError: true)!;

    private static Type ConnectorType => Type.GetType(Connector, throwOnError: true)!;

    private static FieldInfo Field(Type type) => type.GetField(ServiceFactoryField, Hidden) ?? throw new MissingFieldException(type.Name, ServiceFactoryField);

    private static object Proxy(Type face, Func<MethodInfo, object?[]?, object?> answer)
    {
        var proxy = DispatchProxy.Create(face, typeof(Substitute));
        ((Substitute)proxy).Answer = answer;
        return proxy;
    }

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_Session")]
    [return: UnsafeAccessorType("Renci.SshNet.ISession, Renci.SshNet")]
    private static extern object GetSession(BaseClient client);

    /// <summary>Implements an interface of the library that cannot be named here. Open, since the runtime derives the implementation from it.</summary>
    internal class Substitute : DispatchProxy
    {
        public Func<MethodInfo, object?[]?, object?> Answer { get; set; } = (_, _) => null;

        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => Answer(targetMethod!, args);
    }
}
