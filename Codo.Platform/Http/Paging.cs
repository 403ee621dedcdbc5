using FluentValidation;

namespace Codo.Platform.Http;

/// <summary>A query that answers a page at a time.</summary>
public interface IPaged
{
    /// <summary>From 1; absent means the first.</summary>
    int? Page { get; }

    /// <summary>Rows a page, at least 1; absent means the slice's own default.</summary>
    int? Limit { get; }
}

/// <summary>What paging means, once: refused below 1, an offset that cannot overflow, an empty page past the end.</summary>
public static class Paging
{
    /// <summary>Rows of one answer.</summary>
    public const int MostLimit = 1000;

    /// <summary>Refuses a page below 1, and a limit below 1 or above <see cref="MostLimit"/>.</summary>
    public static void Paged<T>(this AbstractValidator<T> validator) where T : IPaged
    {
        validator.RuleFor(query => query.Page).Within(1, int.MaxValue, "page");
        validator.RuleFor(query => query.Limit).Within(1, MostLimit, "limit");
    }

    /// <summary>The same for a list of which a limit over 200 means all rows.</summary>
    public static void PagedOrAll<T>(this AbstractValidator<T> validator) where T : IPaged
    {
        validator.RuleFor(query => query.Page).Within(1, int.MaxValue, "page");
        validator.RuleFor(query => query.Limit).Within(1, int.MaxValue, "limit");
    }

    /// <summary>Rows to leave out before the page.</summary>
    public static long Offset(this IPaged query, int defaultLimit) => ((query.Page ?? 1) - 1L) * (query.Limit ?? defaultLimit);

    /// <summary>
    /// The pattern for <c>LIKE … ESCAPE '\'</c> that finds texts which begin with <paramref name="text"/>, its <c>%</c> and <c>_</c> taken literally.
    /// </summary>
    public static string PrefixPattern(string text) =>
        text.Replace(@"\", @"\\", StringComparison.Ordinal).Replace("%", @"\%", StringComparison.Ordinal).Replace("_", @"\_", StringComparison.Ordinal) + "%";
}
