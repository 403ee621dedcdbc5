using System.Globalization;
using Codo.Platform.Localization;

namespace Codo.Modules.Tasks.Orders;

/// <summary>How many lanes of a group run at once: a number of them, or a percentage of the group.</summary>
/// <param name="Amount">The number, or the percentage; at least 1.</param>
/// <param name="IsPercentage">Whether <paramref name="Amount"/> is a percentage, 100 at most.</param>
internal readonly record struct BatchSize(int Amount, bool IsPercentage)
{
    /// <summary>The whole group at once, which is also what no batch at all means.</summary>
    public static readonly BatchSize All = new(100, true);

    // More lanes than any group has; what is longer is a slip of the keyboard.
    private const int MaxNumber = 100_000;

    /// <summary>Reads <c>10</c> or <c>25%</c>; null or empty is <see cref="All"/>.</summary>
    public static bool TryParse(string? text, out BatchSize size, out Text why)
    {
        size = All;
        why = default;
        var trimmed = (text ?? "").Trim();
        if (trimmed.Length == 0)
            return true;
        var percentage = trimmed.EndsWith('%');
        var digits = percentage ? trimmed[..^1] : trimmed;
        if (int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var amount) && amount >= 1 && amount <= (percentage ? 100 : MaxNumber))
        {
            size = new BatchSize(amount, percentage);
            return true;
        }

        why = new($"应为 1–{MaxNumber} 的数字或 1%–100%", $"must be a number from 1 to {MaxNumber}, or 1% to 100%");
        return false;
    }

    /// <summary>
    /// Lanes in a batch of a group with so many lanes; a percentage is rounded down, so that no more run at once than it says, but one at least.
    /// </summary>
    public int Of(int lanes) => IsPercentage ? (int)Math.Max(1, (long)lanes * Amount / 100) : Amount;

    /// <summary>The batch, from 0, of each lane of a group with so many lanes.</summary>
    public IReadOnlyList<int> Batches(int lanes)
    {
        var size = Of(lanes);
        return [.. Enumerable.Range(0, lanes).Select(lane => lane / size)];
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Amount}{(IsPercentage ? "%" : "")}");
}
