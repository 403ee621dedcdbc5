namespace Codo.Host.LocalServices;

/// <summary>
/// Another process has the data directory: a host, or a command that needs the private database and ends by itself. The process prints the message and exits
/// with 75, after which a service manager starts it again: a backup must not keep the service down for good.
/// </summary>
internal sealed class DirectoryIsHeld(string path) : Exception(
    $"Another Codo host, or a command such as codo backup, is running on the data directory {path}. Stop it or let it end, or give this one a directory of its "
        + $"own with Codo__DataDirectory. / 另一个 Codo 或 codo backup 等命令正在使用数据目录 {path}：请停止它或等它结束，或用 Codo__DataDirectory 另设目录。");
