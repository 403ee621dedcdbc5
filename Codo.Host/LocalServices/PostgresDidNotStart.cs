namespace Codo.Host.LocalServices;

/// <summary>
/// The host's own PostgreSQL does not start now, and may do so later without anybody's help: the disk is full, a recovery takes long, a backend has outlived
/// its postmaster. The message is a whole sentence; the process prints it and exits with 75, after which a service manager starts it again.
/// </summary>
internal sealed class PostgresDidNotStart(string sentence) : Exception(sentence);
