using Codo.Platform.Localization;
using FluentValidation;
using FluentValidation.Results;

namespace Codo.Platform.Http;

/// <summary>Why a request was refused; decides the status that a client of problem details sees.</summary>
public enum RefusalKind
{
    /// <summary>The request itself is wrong: 400.</summary>
    Invalid,

    /// <summary>The caller may not do this to this object: 403.</summary>
    Forbidden,

    /// <summary>No such object: 404.</summary>
    NotFound,

    /// <summary>The object is not in a state, or the name is not free, for this: 409.</summary>
    Conflict,

    /// <summary>Asked too often; <see cref="Refusal.RetryAfter"/> says when again: 429.</summary>
    TooMany,
}

/// <summary>A business failure. It is answered as HTTP 200 with <c>code</c> ≠ 0, or as problem details with the true status.</summary>
public sealed class Refusal(int code, Text text, RefusalKind kind = RefusalKind.Invalid) : Exception(text.En)
{
    /// <summary>The <c>code</c> of the answer, never 0.</summary>
    public int Code { get; } = code;

    /// <summary>The <c>msg</c> of the answer.</summary>
    public Text Text { get; } = text;

    public RefusalKind Kind { get; } = kind;

    /// <summary>What to send instead, answered as <c>hint</c>: <c>msg</c> is the original's and stays as it is.</summary>
    public Text? Hint { get; init; }

    /// <summary>Further fields of the answer.</summary>
    public object? More { get; init; }

    /// <summary>Seconds, answered as the header Retry-After.</summary>
    public int? RetryAfter { get; init; }

    /// <summary>Whether the object exists and the caller may not see it. The answer is as for an unknown one; the audit records the attempt.</summary>
    public bool IsHidden { get; private init; }

    /// <summary>A copy with IsHidden set. Not set in place, because some refusals are shared instances.</summary>
    public Refusal AsHidden() => new(Code, Text, Kind) { Hint = Hint, More = More, RetryAfter = RetryAfter, IsHidden = true };

    public static Refusal Invalid(string zh, string en, int code = -1) => new(code, new Text(zh, en));

    public static Refusal NotFound(string zh, string en, int code = -1) => new(code, new Text(zh, en), RefusalKind.NotFound);

    public static Refusal Conflict(string zh, string en, int code = -1) => new(code, new Text(zh, en), RefusalKind.Conflict);

    public static Refusal Forbidden(string zh, string en, int code = -2) => new(code, new Text(zh, en), RefusalKind.Forbidden);
}

/// <summary>How a validator says its refusal: a code and a text in both languages, in place of FluentValidation's own message.</summary>
public static class RefusingRules
{
    /// <summary>The refusal that answers when the rule before it fails.</summary>
    public static IRuleBuilderOptions<T, TProperty> Refuse<T, TProperty>(this IRuleBuilderOptions<T, TProperty> rule, string zh, string en, int code = -1) =>
        rule.WithMessage(en).WithState(_ => Refusal.Invalid(zh, en, code));

    /// <summary>Refuses text longer than <paramref name="most"/> characters, naming the field.</summary>
    public static IRuleBuilderOptions<T, string?> AtMost<T>(this IRuleBuilder<T, string?> rule, int most, string field) =>
        rule.Must(text => text is null || text.IsWithin(most)).Refuse($"{field} 不能超过 {most} 个字符", $"{field} is longer than {most} characters");

    /// <summary>Whether a text has at most so many characters; one outside the basic plane counts once, though C# stores it as two.</summary>
    public static bool IsWithin(this string text, int most) => text.Length <= most || (text.Length <= most * 2 && text.EnumerateRunes().Count() <= most);

    /// <summary>Refuses a number outside [<paramref name="least"/>, <paramref name="most"/>], naming the field; absent is accepted.</summary>
    public static IRuleBuilderOptions<T, int?> Within<T>(this IRuleBuilder<T, int?> rule, int least, int most, string field) =>
        rule.Must(number => number is null || (number >= least && number <= most))
            .Refuse($"{field} 必须在 {least} 到 {most} 之间", $"{field} must be between {least} and {most}");

    /// <summary>Refuses anything but one of the words, naming the field and the words; absent is accepted.</summary>
    public static IRuleBuilderOptions<T, string?> OneOf<T>(this IRuleBuilder<T, string?> rule, string field, params string[] words) =>
        rule.Must(word => word is null || words.Contains(word, StringComparer.Ordinal))
            .Refuse($"{field} 只能是 {string.Join(" | ", words)}", $"{field} must be one of {string.Join(" | ", words)}");

    /// <summary>The same for a request that a handler makes of another, such as an old version that is saved again.</summary>
    /// <exception cref="Refusal">The first rule that it breaks.</exception>
    public static void Demand<T>(this IValidator<T> validator, T request)
    {
        if (validator.Validate(request) is { IsValid: false } result) throw result.Errors[0].ToRefusal();
    }

    internal static Refusal ToRefusal(this ValidationFailure failure) =>
        failure.CustomState as Refusal ?? Refusal.Invalid($"{failure.PropertyName}：{failure.ErrorMessage}", $"{failure.PropertyName}: {failure.ErrorMessage}");
}
