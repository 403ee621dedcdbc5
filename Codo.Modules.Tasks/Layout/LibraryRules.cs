using Codo.Platform.Http;
using Codo.Platform.Localization;
using FluentValidation;
using Npgsql;

namespace Codo.Modules.Tasks.Layout;

/// <summary>What the library's slices ask alike: lengths, emptiness, the console's paging, and names that are taken.</summary>
internal static class LibraryRules
{
    /// <summary>Characters of a name.</summary>
    public const int MostName = 100;

    /// <summary>Characters of a command and of its arguments.</summary>
    public const int MostText = 4000;

    public static readonly Text NothingMissing = new("参数不能为空", "A required value is missing");

    public static Refusal NoSuchId => Refusal.NotFound("ID不存在", "No such id");

    public static Refusal NameIsTaken => Refusal.Conflict("名称不能重复", "The name is taken", -2);

    /// <summary>Refuses what is absent or blank.</summary>
    public static IRuleBuilderOptions<T, string?> Given<T>(this IRuleBuilder<T, string?> rule) =>
        rule.Must(text => !string.IsNullOrWhiteSpace(text)).Refuse(NothingMissing.Zh, NothingMissing.En);

    /// <summary>Refuses what is blank; absent leaves the stored value as it is.</summary>
    public static IRuleBuilderOptions<T, string?> GivenOrAbsent<T>(this IRuleBuilder<T, string?> rule) =>
        rule.Must(text => text is null || !string.IsNullOrWhiteSpace(text)).Refuse(NothingMissing.Zh, NothingMissing.En);

    /// <summary>Refuses a request that names no object.</summary>
    public static IRuleBuilderOptions<T, long?> IdGiven<T>(this IRuleBuilder<T, long?> rule) => rule.NotNull().Refuse("ID不能为空", "The id is missing");

    /// <summary>Refuses a request that names no template.</summary>
    public static IRuleBuilderOptions<T, long?> TemplateGiven<T>(this IRuleBuilder<T, long?> rule) =>
        rule.NotNull().Refuse("模板ID不能为空", "The template's id is missing");

    /// <summary>The rows of a page. A limit over 200 (the console's default is 201) means all rows, so that all of them are on the first page.</summary>
    public static (long? Limit, long Offset) Slice(this IPaged query)
    {
        if (query.Limit is { } limit and <= 200) return (limit, query.Offset(limit));
        return (query.Page ?? 1) == 1 ? (null, 0) : (0, 0);
    }

    /// <summary>The pattern of a search, null for none: an empty one finds everything.</summary>
    public static string? Pattern(string? searched) => string.IsNullOrEmpty(searched) ? null : Paging.PrefixPattern(searched);

    /// <summary>Whether a change failed because another row has the name.</summary>
    public static bool IsTaken(this PostgresException error) => error.SqlState == PostgresErrorCodes.UniqueViolation;
}
