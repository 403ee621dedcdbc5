using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Garnet;
using Garnet.server;
using Garnet.server.Auth.Settings;

namespace Codo.Host.LocalServices;

/// <summary>Redis inside the process (Microsoft.Garnet), on a loopback port with a password that nobody else learns. It holds nothing that must last.</summary>
internal sealed class EmbeddedRedis : IDisposable
{
    private const int Attempts = 5;

    private readonly GarnetServer server;

    private EmbeddedRedis(GarnetServer server, string configuration)
    {
        this.server = server;
        Configuration = configuration;
    }

    /// <summary>In StackExchange.Redis's words.</summary>
    public string Configuration { get; }

    public static EmbeddedRedis Start()
    {
        var password = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(24));
        for (var attempt = 1; ; attempt++)
        {
            var port = FreePort();
            // Not as arguments: reading those costs a start a tenth of a second.
            var options = new GarnetServerOptions
            {
                EndPoints = [new IPEndPoint(IPAddress.Loopback, port)],
                AuthSettings = new PasswordAuthenticationSettings(password),
                LogMemorySize = "64m",
                IndexMemorySize = "4m",
                EnableLua = true,
                LuaOptions = new LuaOptions(),
                QuietMode = true,
                NetworkBufferPoolSize = "64m",
                NetworkBufferMemoryBudget = "1g",
                // Whoever is on this machine can connect, if not talk: such connections must not take the descriptors of commands.
                NetworkConnectionLimit = 256,
            };
            var server = new GarnetServer(options);
            try
            {
                server.Start();
                return new EmbeddedRedis(server, $"127.0.0.1:{port},password={password},abortConnect=false");
            }
            catch (SocketException) when (attempt < Attempts)
            {
                // Someone took the port between the question and the start.
                server.Dispose();
            }
        }
    }

    public void Dispose() => server.Dispose();

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
