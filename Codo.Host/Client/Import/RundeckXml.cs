using System.Text.Json.Nodes;
using System.Xml.Linq;

namespace Codo.Host.Client.Import;

/// <summary>The XML form as the YAML form says it.</summary>
internal static class RundeckXml
{
    public static JsonObject Job(XElement xml)
    {
        var job = new JsonObject();
        foreach (
            var name in (string[])[
                "name",
                "uuid",
                "id",
                "description",
                "timeout",
                "multipleExecutions",
                "scheduleEnabled",
                "executionEnabled",
                "timeZone",
                "retry"
            ]
        )
            if ((string?)xml.Element(name) is { Length: > 0 } value)
                job[name == "id" ? "uuid" : name] = value;
        if ((string?)(xml.Element("group") ?? xml.Element("context")?.Element("group")) is { Length: > 0 } group) job["group"] = group;
        if (
            xml.Element("retry") is { } retry && retry.Attribute("delay") is { } delay
        ) job["retry"] = new JsonObject { ["retry"] = (string)retry, ["delay"] = delay.Value };
        if (xml.Element("schedule") is { } schedule) job["schedule"] = Schedule(schedule);
        if (xml.Element("sequence") is { } sequence) job["sequence"] = Sequence(sequence);
        if (xml.Element("nodefilters") is { } filters) job["nodefilters"] = Filters(filters, xml.Element("dispatch"));
        if (xml.Element("orchestrator") is { } orchestrator) job["orchestrator"] = new JsonObject { ["type"] = (string?)orchestrator.Element("type") ?? "" };
        var options = (xml.Element("context")?.Element("options") ?? xml.Element("options"))?.Elements("option").ToList() ?? [];
        if (options.Count > 0)
            job["options"] = new JsonArray([
                .. options.Select(option => new JsonObject
                {
                    ["name"] = (string?)option.Attribute("name"),
                    ["value"] = (string?)option.Attribute("value") ?? "",
                    ["required"] = (string?)option.Attribute("required") == "true",
                    ["secure"] = (string?)option.Attribute("secure") == "true",
                }),
            ]);
        if (xml.Element("notification") is not null) job["notification"] = new JsonObject();
        return job;
    }

    private static JsonObject Filters(XElement xml, XElement? dispatch)
    {
        var filters = Texts(xml, "filter", "filterExclude", "include", "exclude");
        if (dispatch is not null) filters["dispatch"] = Texts(dispatch, "threadcount", "keepgoing", "rankAttribute", "rankOrder");
        return filters;
    }

    private static JsonObject Texts(XElement xml, params string[] names)
    {
        var texts = new JsonObject();
        foreach (var name in names)
            if ((string?)xml.Element(name) is { Length: > 0 } value)
                texts[name] = value;
        return texts;
    }

    private static JsonObject Schedule(XElement xml)
    {
        if (xml.Attribute("crontab") is { } crontab) return new JsonObject { ["crontab"] = crontab.Value };
        var (time, month) = (xml.Element("time"), xml.Element("month"));
        return new JsonObject
        {
            ["time"] = new JsonObject
            {
                ["hour"] = (string?)time?.Attribute("hour") ?? "",
                ["minute"] = (string?)time?.Attribute("minute") ?? "",
                ["seconds"] = (string?)time?.Attribute("seconds") ?? "",
            },
            ["month"] = (string?)month?.Attribute("month") ?? "*",
            ["weekday"] = new JsonObject { ["day"] = (string?)xml.Element("weekday")?.Attribute("day") ?? "" },
            ["dayofmonth"] = new JsonObject { ["day"] = (string?)month?.Attribute("day") ?? (string?)xml.Element("dayofmonth")?.Attribute("day") ?? "" },
            ["year"] = (string?)xml.Element("year")?.Attribute("year") ?? "*",
        };
    }

    private static JsonObject Sequence(XElement xml) =>
        new()
        {
            ["keepgoing"] = (string?)xml.Attribute("keepgoing") == "true",
            ["strategy"] = (string?)xml.Attribute("strategy") ?? "",
            ["commands"] = new JsonArray([
                .. xml.Elements("command").Select(command =>
                {
                    var step = new JsonObject();
                    foreach (var (element, field) in (ReadOnlySpan<(string, string)>)
                        [("exec", "exec"), ("script", "script"), ("scriptargs", "args"), ("scriptinterpreter", "scriptInterpreter"),
                            ("scriptfile", "scriptfile"), ("scripturl", "scripturl"), ("fileExtension", "fileExtension"), ("description", "description")])
                        if ((string?)command.Element(element) is { Length: > 0 } value)
                            step[field] = element == "script" ? value.TrimStart('\n') : value;
                    if ((string?)command.Element("scriptinterpreter")?.Attribute("argsquoted") == "true") step["interpreterArgsQuoted"] = true;
                    if (command.Element("errorhandler") is not null) step["errorhandler"] = new JsonObject();
                    if (command.Element("jobref") is { } reference) step["jobref"] = new JsonObject { ["name"] = (string?)reference.Attribute("name") };
                    foreach (var plugin in (string[])["node-step-plugin", "step-plugin"])
                        if (command.Element(plugin) is { } found)
                            step["type"] = (string?)found.Attribute("type");
                    return step;
                }),
            ]),
        };
}
