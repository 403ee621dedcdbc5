namespace Codo.Host.LocalServices;

/// <summary>
/// The start cannot go on until the operator changes something. The message is a whole sentence that says what; the process prints it and exits with 2.
/// </summary>
internal sealed class StartRefused(string sentence) : Exception(sentence);
