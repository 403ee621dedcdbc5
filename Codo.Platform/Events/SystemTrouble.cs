using Codo.Platform.Localization;
using MediatR;

namespace Codo.Platform.Events;

/// <summary>Something is wrong with Codo itself, not with one job or order: a person must know of it and put it right.</summary>
/// <param name="Key">The same trouble again adds to the incident that is open.</param>
public sealed record SystemTroubleFound(string Key, Text Title, Text Detail) : INotification;

/// <summary>What a <see cref="SystemTroubleFound"/> told of is over.</summary>
public sealed record SystemTroubleOver(string Key) : INotification;
