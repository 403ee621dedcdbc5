using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Modules.Tasks.Orders;
using CsCheck;

namespace Codo.Tests.Modules.Tasks.Orders;

public sealed class PythonLiteralTests
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [Theory]
    [InlineData("{}", "{}")]
    [InlineData("[]", "[]")]
    [InlineData("()", "[]")]
    [InlineData(" { } ", "{}")]
    [InlineData("{\"1\": \"10.0.0.1\"}", """{"1":"10.0.0.1"}""")]
    [InlineData("{1: '10.0.0.1'}", """{"1":"10.0.0.1"}""")]
    [InlineData("{1: '10.0.0.1,10.0.0.2', 2: \"10.0.0.3\"}", """{"1":"10.0.0.1,10.0.0.2","2":"10.0.0.3"}""")]
    [InlineData("{'VERSION': 'v1', 'n': 3, 'flag': True, 'x': None}", """{"VERSION":"v1","n":3,"flag":true,"x":null}""")]
    [InlineData("{\"a\": true, \"b\": false, \"c\": null}", """{"a":true,"b":false,"c":null}""")]
    [InlineData("{'a': {'b': [1, (2, 3), {}]}}", """{"a":{"b":[1,[2,3],{}]}}""")]
    [InlineData("{'a': (1,), 'b': (1), 'c': ((1, 2)), 'd': (),}", """{"a":[1],"b":1,"c":[1,2],"d":[]}""")]
    [InlineData("['admin', 'root']", """["admin","root"]""")]
    [InlineData("('admin', 'root',)", """["admin","root"]""")]
    [InlineData("[1,2,]", "[1,2]")]
    [InlineData("{'a':1,}", """{"a":1}""")]
    [InlineData("{u'名称': U'值'}", """{"名称":"值"}""")]
    [InlineData("{'a': 1, 'a': 2, 'b': 3}", """{"a":2,"b":3}""")]
    [InlineData("{\"a\": 1, \"a\": 2}", """{"a":2}""")]
    [InlineData("{1: 'int', '1': 'text'}", """{"1":"text"}""")]
    [InlineData("{-1: 0, +2: 0, 00: 0}", """{"-1":0,"2":0,"0":0}""")]
    [InlineData("[0, -0, +7, -12, 00, 1., .5, -1.5, 1e3, 1E-3, 1.e+2, 007.5, - 3]", "[0,0,7,-12,0,1.0,0.5,-1.5,1e3,1e-3,1e+2,7.5,-3]")]
    [InlineData("[123456789012345678901234567890]", "[123456789012345678901234567890]")]
    [InlineData("[1.10]", "[1.10]")]
    [InlineData("{'a':\n\t1\r\n}", """{"a":1}""")]
    [InlineData("""['it\'s', "say \"x\"", "it's", 'say "x"']""", """["it's","say \"x\"","it's","say \"x\""]""")]
    [InlineData("""['\n\t\r\\\a\b\f\v']""", """["\n\t\r\\\u0007\b\f\u000B"]""")]
    [InlineData("""['\x41\u4e2d\U0001F600\101\60\7']""", """["A中😀A0\u0007"]""")]
    [InlineData("""['\ud83d\ude00']""", """["😀"]""")]
    [InlineData("['\\d+ \\. \\w\\/']", """["\\d+ \\. \\w\\/"]""")]
    [InlineData("""["\/\ud83d\ude00"]""", """["/😀"]""")]
    [InlineData("['a\\\nb']", """["ab"]""")]
    [InlineData("['$(reboot)', '`x`', 'a; b', '__import__(\\'os\\')']", """["$(reboot)","`x`","a; b","__import__('os')"]""")]
    [InlineData("{'': ''}", """{"":""}""")]
    [InlineData("{'a': '😀中文'}", """{"a":"😀中文"}""")]
    public void Reads_json_and_python_alike(string text, string json)
    {
        PythonLiteral.TryParse(text, out var value, out var why).ShouldBeTrue(why.En);
        JsonNode.DeepEquals(value, JsonNode.Parse(json)).ShouldBeTrue(value!.ToJsonString(Plain));
        Quoted(text, out var quoted).ShouldBeTrue();
        quoted.ShouldBe(value.ToJsonString());
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("1")]
    [InlineData("'a'")]
    [InlineData("\"{}\"")]
    [InlineData("None")]
    [InlineData("null")]
    [InlineData("True")]
    [InlineData("(1)")]
    [InlineData("('a')")]
    [InlineData("(None)")]
    [InlineData("1, 2")]
    [InlineData("{")]
    [InlineData("{'a'")]
    [InlineData("{'a':")]
    [InlineData("{'a': 1")]
    [InlineData("{'a': 1,")]
    [InlineData("{'a': 'x")]
    [InlineData("{'a': 'x\\")]
    [InlineData("{'a': 'x\\'}")]
    [InlineData("{'a' 1}")]
    [InlineData("{'a': 1 'b': 2}")]
    [InlineData("{'a': 1,, 'b': 2}")]
    [InlineData("{,}")]
    [InlineData("[,]")]
    [InlineData("(,)")]
    [InlineData("[1 2]")]
    [InlineData("[1)")]
    [InlineData("(1, 2]")]
    [InlineData("{'a': 1]")]
    [InlineData("{} {}")]
    [InlineData("{}x")]
    [InlineData("{'a': 1} # comment")]
    [InlineData("{1, 2}")]
    [InlineData("{'a'}")]
    [InlineData("{True: 1}")]
    [InlineData("{None: 1}")]
    [InlineData("{1.5: 1}")]
    [InlineData("{(1, 2): 1}")]
    [InlineData("{'a': 'b' 'c'}")]
    [InlineData("{'a': 'b' \"c\"}")]
    [InlineData("{'a': '''b'''}")]
    [InlineData("{'a': b'c'}")]
    [InlineData("{'a': r'c'}")]
    [InlineData("{'a': f'{1}'}")]
    [InlineData("{'a': ur'c'}")]
    [InlineData("{'a': u}")]
    [InlineData("{'a': u 'c'}")]
    [InlineData("{'a': true}")]
    [InlineData("{'a': TRUE}")]
    [InlineData("{'a': Trueish}")]
    [InlineData("{'a': NaN}")]
    [InlineData("{\"a\": Infinity}")]
    [InlineData("{'a': x}")]
    [InlineData("{'a': 1 + 1}")]
    [InlineData("{'a': 1j}")]
    [InlineData("{'a': 0x1F}")]
    [InlineData("{'a': 1_000}")]
    [InlineData("{'a': 007}")]
    [InlineData("{'a': --1}")]
    [InlineData("{'a': .}")]
    [InlineData("{'a': 1e}")]
    [InlineData("{'a': 1e999}")]
    [InlineData("{\"a\": 1e999}")]
    [InlineData("{\"a\": -1e999}")]
    [InlineData("{'a': 11111111111111111111111111111111111111111111111111111111111111111}")]
    [InlineData("{\"a\": 11111111111111111111111111111111111111111111111111111111111111111}")]
    [InlineData("{'a': '\\x4'}")]
    [InlineData("{'a': '\\xzz'}")]
    [InlineData("{'a': '\\u12'}")]
    [InlineData("{'a': '\\U00110000'}")]
    [InlineData("{'a': '\\N{BULLET}'}")]
    [InlineData("{'a': '\\ud83d'}")]
    [InlineData("{'a': '\\ude00\\ud83d'}")]
    [InlineData("{\"a\": \"\\ud83d\"}")]
    [InlineData("{\"\\ud83d\": 1}")]
    [InlineData("{'a': '\\0'}")]
    [InlineData("{\"a\": \"\\u0000\"}")]
    [InlineData("{\"\\u0000\": 1}")]
    [InlineData("{'a': 'x\ny'}")]
    [InlineData("{‘a’: 1}")]
    [InlineData("{'a'：1}")]
    [InlineData("__import__('os').system('id')")]
    [InlineData("[x for x in (1,)]")]
    [InlineData("{**{}}")]
    [InlineData("[*()]")]
    [InlineData("{'a': 1}['a']")]
    [InlineData("dict()")]
    [InlineData("{'a': lambda: 1}")]
    [InlineData("{'a': ...}")]
    [InlineData("10.0.0.1")]
    public void Refuses_everything_else(string text)
    {
        PythonLiteral.TryParse(text, out var value, out var why).ShouldBeFalse();
        value.ShouldBeNull();
        (why.Zh.Length > 0 && why.En.Length > 0).ShouldBeTrue();
    }

    [Fact]
    public void Refuses_nul_and_halves_of_surrogate_pairs_as_they_are()
    {
        foreach (var character in new[] { "\0", "\ud83d", "\ude00", "\ude00\ud83d" })
        {
            PythonLiteral.TryParse($"{{'a': '{character}'}}", out _, out var why).ShouldBeFalse();
            why.En.ShouldBe("holds invalid Unicode or NUL");
        }
    }

    [Theory]
    [InlineData("""{"a": [1, {"b": null}], "a": "x"}""", """{"a":"x"}""")]
    [InlineData("""["a"]""", """["a"]""")]
    [InlineData("5", null)]
    [InlineData("null", null)]
    [InlineData("true", null)]
    [InlineData("\"\\ud83d\"", null)]
    [InlineData("{\"a\": \"\\ud83d\"}", null)]
    [InlineData("{\"a\": 1e999}", null)]
    public void Takes_an_object_as_it_comes(string body, string? json)
    {
        using var document = JsonDocument.Parse(body);
        PythonLiteral.TryParse(document.RootElement, out var value, out _).ShouldBe(json is not null);
        value?.ToJsonString().ShouldBe(json!);
    }

    [Fact]
    public void Takes_only_an_object_where_one_is_asked_for()
    {
        using var document = JsonDocument.Parse("""[{"a": 1}, [1], "{'a': 1}", "[1]", "x"]""");
        document
            .RootElement.EnumerateArray()
            .Select(element => PythonLiteral.TryParseObject(element, out _, out _))
            .ShouldBe([true, false, true, false, false]);
    }

    [Theory]
    [InlineData("[", "]")]
    [InlineData("(", ",)")]
    [InlineData("{'a':", "}")]
    [InlineData("{\"a\":", "}")]
    public void Reads_no_deeper_than_its_limit(string open, string close)
    {
        string Nested(int depth) => string.Concat(Enumerable.Repeat(open, depth)) + "1" + string.Concat(Enumerable.Repeat(close, depth));
        PythonLiteral.TryParse(Nested(32), out _, out _).ShouldBeTrue();
        PythonLiteral.TryParse(Nested(33), out _, out var why).ShouldBeFalse();
        why.En.ShouldBe("is nested more than 32 deep");
        PythonLiteral.TryParse(Nested(50_000), out _, out _).ShouldBeFalse();
    }

    [Fact]
    public void Refuses_an_object_that_is_too_deep_too()
    {
        using var document = JsonDocument.Parse(string.Concat(Enumerable.Repeat("[", 33)) + string.Concat(Enumerable.Repeat("]", 33)));
        PythonLiteral.TryParse(document.RootElement, out _, out var why).ShouldBeFalse();
        why.En.ShouldBe("is nested more than 32 deep");
    }

    [Fact]
    public void Reads_or_refuses_long_texts_in_bounded_time()
    {
        var watch = Stopwatch.StartNew();
        foreach (var piece in new[] { "(", "'a',", "1,", "\\", "{'a':", "\"", "[],", "1", " ", "0.", "'\\x41'," })
        {
            _ = PythonLiteral.TryParse("[" + string.Concat(Enumerable.Repeat(piece, (PythonLiteral.MaxLength - 2) / piece.Length)) + "]", out _, out _);
            PythonLiteral.TryParse("[" + string.Concat(Enumerable.Repeat(piece, PythonLiteral.MaxLength)) + "]", out _, out var why).ShouldBeFalse();
            why.En.ShouldBe("is longer than 1048576 characters");
        }

        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(30));
    }

    [Fact]
    public void Never_throws_whatever_comes() =>
        Gen.OneOf(Gen.String, Gen.String[Gen.Char["{}[]():,'\"\\ uUxN01.e+-TrueFalsNon\n\0\ud83d\ude00"], 0, 60], Gen.Select(Values, Gen.Int[0, 200], Gen.Char)
                .Select((value, at, put) => Python(value, new Random(at)) is var text ? text.Insert(at % (text.Length + 1), put.ToString()) : ""))
            .Sample(text =>
            {
                if (PythonLiteral.TryParse(text, out var value, out var why))
                    Encoding.UTF8.GetByteCount(value!.ToJsonString()).ShouldBeGreaterThan(1);
                else
                    why.En.ShouldNotBeEmpty();
            }, iter: 5_000);

    [Fact]
    public void A_value_means_the_same_in_all_three_writings() =>
        Gen.Select(Values, Gen.Int)
            .Sample(
                (value, seed) =>
                {
                    var json = value.ToJsonString(Plain);
                    PythonLiteral.TryParse(json, out var asJson, out var whyJson).ShouldBeTrue(whyJson.En);
                    PythonLiteral
                        .TryParse(Python(value, new Random(seed)), out var asPython, out var whyPython)
                        .ShouldBeTrue(whyPython.En + Python(value, new Random(seed)));
                    using var document = JsonDocument.Parse(json);
                    PythonLiteral.TryParse(document.RootElement, out var asObject, out _).ShouldBeTrue();

                    asJson!.ToJsonString(Plain).ShouldBe(json);
                    asPython!.ToJsonString(Plain).ShouldBe(json);
                    asObject!.ToJsonString(Plain).ShouldBe(json);
                }, iter: 1_000);

    private static bool Quoted(string text, out string? canonical)
    {
        using var document = JsonDocument.Parse(JsonSerializer.Serialize(text));
        var good = PythonLiteral.TryParse(document.RootElement, out var value, out _);
        canonical = value?.ToJsonString();
        return good;
    }

    private static Gen<string> Words => Gen.OneOf(
        Gen.String[Gen.Char["abc XYZ'\"\\\n\t/中é{}[]:,$`;"], 0, 12],
        Gen.OneOf("", "😀", "\u0007", "it's", "\\d", "$(x)", "None", "1"));

    private static Gen<JsonNode> Values => Gen.Recursive<JsonNode>((depth, self) => depth > 4
        ? Gen.Const(() => (JsonNode)new JsonArray())
        : Gen.OneOf(Items(self).Select(items => (JsonNode)new JsonArray([.. items])), Gen.Dictionary(Words, Item(self))[0, 5].Select(members =>
        {
            var all = new JsonObject();
            foreach (var (name, member) in members)
                all[name] = member?.DeepClone();
            return (JsonNode)all;
        })));

    private static Gen<JsonNode?[]> Items(Gen<JsonNode> self) => Item(self).Array[0, 5].Select(items => items.Select(item => item?.DeepClone()).ToArray());

    private static Gen<JsonNode?> Item(Gen<JsonNode> self) => Gen.OneOf(
        Words.Select(word => (JsonNode?)JsonValue.Create(word)),
        Gen.Long.Select(number => (JsonNode?)JsonValue.Create(number)),
        Gen.Double[-1e9, 1e9].Select(number => JsonNode.Parse(number.ToString("R", CultureInfo.InvariantCulture).Replace('E', 'e'))),
        Gen.Bool.Select(flag => (JsonNode?)JsonValue.Create(flag)),
        Gen.Const((JsonNode?)null),
        self.Select(node => (JsonNode?)node));

    // Written as Python would accept it, each time a little differently.
    private static string Python(JsonNode? value, Random random)
    {
        string Blank() => new[] { "", "", " ", "\n", "\t " }[random.Next(5)];
        string Comma(int count) => count > 0 && random.Next(3) == 0 ? "," : "";
        switch (value)
        {
            case null:
                return "None";
            case JsonObject members:
                return "{"
                    + string.Join(
                        "," + Blank(),
                        members.Select(member => Blank() + Key(member.Key) + Blank() + ":" + Blank() + Python(member.Value, random) + Blank())
                    )
                    + Comma(members.Count)
                    + "}";
            case JsonArray items:
                var inner = string.Join("," + Blank(), items.Select(item => Blank() + Python(item, random)));
                return random.Next(2) == 0 ? "[" + inner + Comma(items.Count) + Blank() + "]" : "(" + inner + (items.Count > 0 ? "," : "") + Blank() + ")";
            default:
                return value.GetValueKind() switch
                {
                    JsonValueKind.String => Text(value.GetValue<string>()),
                    JsonValueKind.True => "True",
                    JsonValueKind.False => "False",
                    _ => value.ToJsonString(),
                };
        }

        string Key(string name) => int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out _) ? name : Text(name);

        string Text(string word)
        {
            var quote = random.Next(2) == 0 ? '\'' : '"';
            var text = new StringBuilder(random.Next(4) == 0 ? "u" : "").Append(quote);
            foreach (var character in word)
            {
                if (character == quote || character is '\\' or '\n' or '\r')
                    text.Append(character switch { '\n' => "\\n", '\r' => "\\r", _ => "\\" + character });
                else if (!char.IsSurrogate(character) && random.Next(5) == 0)
                    text.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:x4}");
                else if (character < 0x100 && random.Next(5) == 0)
                    text.Append(CultureInfo.InvariantCulture, $"\\x{(int)character:X2}");
                else
                    text.Append(character);
            }

            return text.Append(quote).ToString();
        }
    }
}
