using Codo.Platform.Localization;
using MediatR;

namespace Codo.Platform.Events;

/// <summary>Something is wrong with Codo itself, not with one job or order: a person must know of it and put it right.</summary>
/// <param name="Key">The same trouble again adds to the incident that is open.</param>
/// <param name="IsReminder">Whether it may have been told before: an incident that is open keeps its words, and counts no more.</param>
public sealed record SystemTroubleFound(string Key, Text Title, Text Detail, bool IsReminder = false) : INotification;

/// <summary>What a <see cref="SystemTroubleFound"/> told of is over.</summary>
public sealed record SystemTroubleOver(string Key) : INotification;
