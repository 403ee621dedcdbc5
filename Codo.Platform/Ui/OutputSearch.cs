using Codo.Platform.Localization;
using Codo.Platform.Security;
using MediatR;

namespace Codo.Platform.Ui;

/// <summary>Where the search page looks for a text. Each is asked by itself, so that one that fails or runs out of time hides nothing of another.</summary>
public interface IOutputSearch
{
    /// <summary>Its name in the address.</summary>
    string Key { get; }

    /// <summary>Its place on the page.</summary>
    int Rank { get; }

    string Icon { get; }

    OutputSearchWords Words { get; }

    /// <summary>The value of the query that narrows it to one place, such as <c>host</c>.</summary>
    string Within { get; }

    /// <summary>The value of the query that narrows it to what one thing wrote, such as <c>list_id</c>; null where there is none.</summary>
    string? Only => null;

    /// <summary>Whether there can be anything in it that the caller may see.</summary>
    bool IsSeen(Access access);

    /// <summary>The request of the API that answers the same.</summary>
    string Api(OutputSought sought);

    Task<OutputFound> Find(OutputSought sought, IMediator mediator, CancellationToken cancellation);

    /// <summary>What a value of <see cref="Only"/> names, with its page.</summary>
    /// <exception cref="Http.Refusal">There is no such thing, or the caller may not see it.</exception>
    Task<(string Name, string Path)> Named(string only, IMediator mediator, CancellationToken cancellation) => throw new NotSupportedException();
}

/// <summary>How a search is spoken of.</summary>
/// <param name="Within">What <see cref="IOutputSearch.Within"/> is.</param>
/// <param name="Places">The heading of where a line was written.</param>
/// <param name="Subject">The heading of what wrote it.</param>
/// <param name="Detail">The heading of what more is said of that.</param>
/// <param name="Count">Several places.</param>
public sealed record OutputSearchWords(Text Title, Text Within, Text Places, Text Subject, Text Detail, Func<int, Text> Count);

/// <summary>What is looked for, as the page was asked.</summary>
/// <param name="Within">Null for everywhere.</param>
/// <param name="Context">Lines before and after each.</param>
/// <param name="Page">From 1.</param>
/// <param name="Only">The value of <see cref="IOutputSearch.Only"/>; null for all.</param>
public sealed record OutputSought(string Text, string? Within, string? From, string? To, int Context, int Page, string? Only = null);

/// <summary>What was found, the newest first.</summary>
/// <param name="HasMore">There is another page.</param>
/// <param name="Notes">What was not looked through, or is not shown.</param>
public sealed record OutputFound(IReadOnlyList<OutputLine> Lines, bool HasMore, IReadOnlyList<Text> Notes);

/// <summary>A line that has the text.</summary>
/// <param name="Path">The page that shows it.</param>
/// <param name="Before">Lines before it.</param>
/// <param name="Place">Where it was written: a host, or what ran.</param>
/// <param name="Subject">What wrote it, with a page of its own.</param>
/// <param name="Tone">Of a badge that says the detail; empty for plain text.</param>
public sealed record OutputLine(
    string Text,
    string Path,
    IReadOnlyList<string> Before,
    IReadOnlyList<string> After,
    string Place,
    string Subject,
    string SubjectPath,
    string Detail,
    DateTime At,
    string Tone = "",
    string Icon = ""
);
