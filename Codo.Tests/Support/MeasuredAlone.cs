namespace Codo.Tests.Support;

/// <summary>
/// Tests that measure their own process, its memory and threads, which all tests share: they run one by one when the others have ended.
/// </summary>
[CollectionDefinition(DisableParallelization = true)]
public sealed class MeasuredAlone;
