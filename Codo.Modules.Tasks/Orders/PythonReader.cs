using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using static Codo.Modules.Tasks.Orders.PythonLiteral;
using Text = Codo.Platform.Localization.Text;

namespace Codo.Modules.Tasks.Orders;

/// <summary>Reads one Python literal: dicts, lists, tuples, strings, numbers, True, False and None. A method that answers false has said why.</summary>
internal sealed class PythonReader(string text)
{
    private int at;
    private Text why;

    public bool TryRead(out JsonNode? value, out Text reason)
    {
        SkipBlanks();
        var good = at < text.Length && text[at] is '{' or '[' or '(' ? TryValue(1, out value) : Fail(Expected, out value);
        SkipBlanks();
        if (good && value is not (JsonObject or JsonArray))
            good = Fail(Expected, out value);
        else if (good && at < text.Length)
            good = Unexpected(out value);
        if (!good)
            value = null;
        reason = why;
        return good;
    }

    private bool TryValue(int depth, out JsonNode? value)
    {
        value = null;
        SkipBlanks();
        if (at == text.Length)
            return Fail(new("在结束处不完整", "ends too soon"), out value);
        switch (text[at])
        {
            case '{' or '[' or '(' when depth > MaxDepth:
                return Fail(TooDeep, out value);
            case '{':
                return TryDict(depth, out value);
            case '[':
                return TryItems(depth, ']', out value);
            case '(':
                return TryItems(depth, ')', out value);
            case '\'' or '"' or 'u' or 'U':
                if (!TryString(out var characters))
                    return false;
                value = JsonValue.Create(characters);
                return true;
            case '+' or '-' or '.' or (>= '0' and <= '9'):
                return TryDigits(out var json, out _) && (TryNumber(json, out value) || Fail(NumberTooLarge, out value));
            default:
                return TryName(out value);
        }
    }

    private bool TryDict(int depth, out JsonNode? value)
    {
        var members = new JsonObject();
        value = members;
        at++;
        while (!Accept('}'))
        {
            string key;
            if (at < text.Length && text[at] is '+' or '-' or (>= '0' and <= '9'))
            {
                if (!TryDigits(out key, out var whole))
                    return false;
                if (!whole)
                    return Fail(new("键应为整数或字符串", "keys must be whole numbers or strings"), out value);
            }
            else if (!TryString(out key))
            {
                return false;
            }

            if (!Accept(':'))
                return Unexpected(out value);
            if (!TryValue(depth + 1, out var member))
                return false;
            members[key] = member;
            if (!Accept(',') && !Next('}'))
                return Unexpected(out value);
        }

        return true;
    }

    private bool TryItems(int depth, char end, out JsonNode? value)
    {
        var items = new JsonArray();
        value = items;
        at++;
        var commas = 0;
        while (!Accept(end))
        {
            if (!TryValue(depth + 1, out var item))
                return false;
            items.Add(item);
            if (Accept(','))
                commas++;
            else if (!Next(end))
                return Unexpected(out value);
        }

        // Round brackets without a comma only group: (1) is 1.
        if (end == ')' && items.Count == 1 && commas == 0)
        {
            value = items[0];
            items.Clear();
        }

        return true;
    }

    private bool TryString(out string value)
    {
        value = "";
        if (at + 1 < text.Length && text[at] is 'u' or 'U' && text[at + 1] is '\'' or '"')
            at++;
        if (at == text.Length || text[at] is not ('\'' or '"'))
            return Unexpected(out _);
        var quote = text[at++];
        var characters = new StringBuilder();
        while (at < text.Length && text[at] != quote)
        {
            if (text[at] is '\n' or '\r')
                return Unexpected(out _);
            if (text[at] != '\\')
                characters.Append(text[at++]);
            else if (!TryEscape(characters))
                return false;
        }

        if (at == text.Length)
            return Fail(new("字符串没有结束", "a string is not closed"), out _);
        at++;
        value = characters.ToString();
        return IsWellFormed(value) || Fail(BadUnicode, out _);
    }

    private bool TryEscape(StringBuilder characters)
    {
        if (++at == text.Length)
            return Fail(new("字符串没有结束", "a string is not closed"), out _);
        var letter = text[at++];
        switch (letter)
        {
            case '\n':
                return true;
            case '\r':
                if (at < text.Length && text[at] == '\n')
                    at++;
                return true;
            case '\\' or '\'' or '"':
                characters.Append(letter);
                return true;
            case >= '0' and <= '7':
                var octal = letter - '0';
                for (var digits = 1; digits < 3 && at < text.Length && text[at] is >= '0' and <= '7'; digits++)
                    octal = octal * 8 + (text[at++] - '0');
                characters.Append((char)octal);
                return true;
            case 'x':
                return TryHex(2, characters);
            case 'u':
                return TryHex(4, characters);
            case 'U':
                return TryHex(8, characters);
            case 'N':
                at--;
                return Unexpected(out _);
        }

        var simple = "abfnrtv".IndexOf(letter, StringComparison.Ordinal);
        if (simple >= 0)
            characters.Append("\a\b\f\n\r\t\v"[simple]);
        else
            characters.Append('\\').Append(letter); // As Python does with an escape that it does not know; regular expressions come so.
        return true;
    }

    private bool TryHex(int digits, StringBuilder characters)
    {
        if (at + digits > text.Length || !text.AsSpan(at, digits).ToString().All(char.IsAsciiHexDigit))
            return Unexpected(out _);
        var code = uint.Parse(text.AsSpan(at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        if (code > 0x10FFFF)
            return Fail(BadUnicode, out _);
        at += digits;

        // Halves of a pair may come one by one; the string is looked at as a whole when it is complete.
        if (code <= 0xFFFF)
            characters.Append((char)code);
        else
            characters.Append(char.ConvertFromUtf32((int)code));
        return true;
    }

    // Gives the number as JSON writes it.
    private bool TryDigits(out string json, out bool whole)
    {
        var negative = text[at] == '-';
        if (text[at] is '+' or '-')
            at++;
        SkipBlanks();
        var integer = Digits();
        var fraction = "";
        var exponent = "";
        whole = true;
        if (at < text.Length && text[at] == '.')
        {
            at++;
            fraction = Digits();
            whole = false;
        }

        if (integer.Length + fraction.Length > 0 && at < text.Length && text[at] is 'e' or 'E')
        {
            at++;
            var sign = at < text.Length && text[at] is '+' or '-' ? text[at++].ToString() : "";
            var power = Digits();
            if (power.Length == 0)
            {
                json = "";
                return Unexpected(out _);
            }

            exponent = "e" + sign + power;
            whole = false;
        }

        // 007 is no number in Python, 007.5 is one; letters behind a number (0x1F, 1j, 1_000) end it where nothing may follow.
        var significant = integer.TrimStart('0');
        negative &= !whole || significant.Length > 0;
        json =
            (negative ? "-" : "")
            + (significant.Length == 0 ? "0" : significant)
            + (
                fraction.Length > 0 ? "." + fraction
                : whole || exponent.Length > 0 ? ""
                : ".0"
            )
            + exponent;
        if (integer.Length + fraction.Length == 0 || whole && significant.Length > 0 && significant.Length != integer.Length)
            return Unexpected(out _);
        return json.Length <= MaxDigits || Fail(NumberTooLarge, out _);
    }

    private string Digits()
    {
        var start = at;
        while (at < text.Length && char.IsAsciiDigit(text[at]))
            at++;
        return text[start..at];
    }

    private bool TryName(out JsonNode? value)
    {
        var start = at;
        while (at < text.Length && (char.IsAsciiLetterOrDigit(text[at]) || text[at] == '_'))
            at++;
        value = null;
        switch (text[start..at])
        {
            case "None":
                return true;
            case "True":
                value = JsonValue.Create(true);
                return true;
            case "False":
                value = JsonValue.Create(false);
                return true;
            default:
                at = start;
                return Unexpected(out value);
        }
    }

    private bool Accept(char wanted)
    {
        if (!Next(wanted))
            return false;
        at++;
        SkipBlanks();
        return true;
    }

    private bool Next(char wanted)
    {
        SkipBlanks();
        return at < text.Length && text[at] == wanted;
    }

    private void SkipBlanks()
    {
        while (at < text.Length && text[at] is ' ' or '\t' or '\n' or '\r' or '\f')
            at++;
    }

    private bool Unexpected(out JsonNode? value) => at == text.Length
        ? Fail(new("在结束处不完整", "ends too soon"), out value)
        : Fail(new($"既不是 JSON 也不是 Python 字面量：第 {at + 1} 个字符不符合语法", $"is neither JSON nor a Python literal: character {at + 1} is out of place"), out value);

    private bool Fail(Text reason, out JsonNode? value)
    {
        value = null;
        why = reason;
        return false;
    }
}
