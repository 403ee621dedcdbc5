using Codo.Host.Accounts;
using Codo.Host.LocalServices;

namespace Codo.Host.Commands;

/// <summary>What an operator reads once the host listens: where, with what token, how to call it, and what to back up.</summary>
internal static class Welcome
{
    private const string User = "admin";

    // In the order in which the C library looks.
    private static readonly string[] LanguageVariables = ["LC_ALL", "LC_MESSAGES", "LANG"];

    /// <param name="addresses">The addresses that are bound, with their real ports.</param>
    /// <param name="showToken">Whether to print a superuser's token. Only for a person who looks on: a journal keeps what it gets.</param>
    public static void Print(TextWriter to, IEnumerable<string> addresses, Installation installation, bool showToken, FirstAdmin.Made? admin, TimeProvider time)
    {
        var chinese = IsChinese();
        var bound = addresses.ToList();
        var reachable = Reachable(bound[0]);
        var command = $"{Program} token --user {User} --superuser";
        var token = showToken
            ? IssueToken.Sign(installation.TokenSecret, User, superuser: true, TimeSpan.FromDays(IssueToken.DefaultDays), time.GetUtcNow())
            : $"$({command})";
        var storage = (installation.OwnsPostgres, installation.OwnsRedis) switch
        {
            (true, true) => chinese ? "PostgreSQL 和 Redis：自带" : "PostgreSQL and Redis: brought along",
            (true, false) => chinese ? "PostgreSQL：自带" : "PostgreSQL: brought along",
            (false, true) => chinese ? "Redis：自带" : "Redis: brought along",
            _ => chinese ? "PostgreSQL 和 Redis：外部" : "PostgreSQL and Redis: yours",
        };
        var account = Account(admin, reachable, chinese);
        to.WriteLine(chinese
            ? $"""

              Codo 已启动：{string.Join("  ", bound)}
              数据目录：{installation.DataDirectory}（{storage}）
              {account}
              令牌（{User}，超级用户，{IssueToken.DefaultDays} 天）：
                TOKEN={token}
              再要一个：{Program} token --user NAME [--superuser] [--days N]

              新建一个每分钟执行的任务，然后看它的日志：
                curl -H "auth-key: $TOKEN" {reachable}/v1/cron/job/ -d '{Job}'
                curl -H "auth-key: $TOKEN" '{reachable}/v1/cron/log/?key=job_id&value=hello'

              需要让其他机器访问：ASPNETCORE_URLS=http://0.0.0.0:9900（持有令牌的人就能在本机执行命令，请放在 TLS 代理之后）
              请备份：{Program} backup 文件 --keys 密钥文件（运行时也可以；两者分开保存，没有密钥文件，已保存的密钥和密码将无法解开）

              """
            : $"""

              Codo is up: {string.Join("  ", bound)}
              Data: {installation.DataDirectory} ({storage})
              {account}
              A token ({User}, superuser, {IssueToken.DefaultDays} days):
                TOKEN={token}
              Another one: {Program} token --user NAME [--superuser] [--days N]

              Make a job that runs every minute, then read its log:
                curl -H "auth-key: $TOKEN" {reachable}/v1/cron/job/ -d '{Job}'
                curl -H "auth-key: $TOKEN" '{reachable}/v1/cron/log/?key=job_id&value=hello'

              To be reached from other machines: ASPNETCORE_URLS=http://0.0.0.0:9900 (who has a token runs commands on this one: put TLS in front)
              Back up: {Program} backup FILE --keys KEYS (Codo may run; keep the two apart: without KEYS no stored key or password can be opened again)

              """);
        to.Flush();
    }

    private static string Account(FirstAdmin.Made? admin, string address, bool chinese) => admin switch
    {
        null => "",
        { Password: { } password } => chinese
            ? $"""

              登录 {address}/：用户名 {FirstAdmin.Name}，密码 {password}（只显示这一次）

              """
            : $"""

              Sign in at {address}/: {FirstAdmin.Name}, password {password} (shown this once)

              """,
        { File: { } file } => chinese
            ? $"""

              登录 {address}/：用户名 {FirstAdmin.Name}，密码在 {file} 中（记下后请删除该文件）

              """
            : $"""

              Sign in at {address}/: {FirstAdmin.Name}, the password is in {file} (delete it once you have it)

              """,
        _ => chinese
            ? $"""

              登录 {address}/：用户名 {FirstAdmin.Name}，密码为 Codo:Auth:AdminPassword

              """
            : $"""

              Sign in at {address}/: {FirstAdmin.Name}, the password is Codo:Auth:AdminPassword

              """,
    };

    private const string Job = """{"job_id": "hello", "cmd": "echo hello from $(hostname)", "cron": "0 * * * * *"}""";

    private static string Program => Environment.ProcessPath ?? "codo";

    /// <summary>An address to call: one that listens everywhere is called on loopback.</summary>
    private static string Reachable(string bound) => bound
        .Replace("[::]", "127.0.0.1", StringComparison.Ordinal)
        .Replace("0.0.0.0", "127.0.0.1", StringComparison.Ordinal)
        .TrimEnd('/');

    private static bool IsChinese()
    {
        var language = LanguageVariables.Select(Environment.GetEnvironmentVariable).FirstOrDefault(value => !string.IsNullOrEmpty(value));
        return language?.StartsWith("zh", StringComparison.OrdinalIgnoreCase) ?? false;
    }
}
