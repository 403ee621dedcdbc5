using System.Text.Json;
using System.Text.Json.Nodes;
using Codo.Platform.Http;
using Codo.Platform.Localization;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.Net.Http.Headers;
using Microsoft.OpenApi;
using Scalar.AspNetCore;

namespace Codo.Host.Api;

/// <summary>
/// The API's description, <c>/openapi/v1.json</c>, and its reader, <c>/docs</c>. The slices' records are its source; what a field means is in
/// <c>fields.txt</c>, an example of each body in <c>examples.json</c>.
/// </summary>
internal static class Description
{
    private const string Codes = """
        Every answer is `{"code": …, "msg": …}`. `code` 0 is success. A failure of the request itself is HTTP 200 with another `code`: -1 a wrong or missing
            field, an unknown id, or a state that
        does not allow it; -2 a right that the caller lacks, or a name that is taken; the paths of task orders have a few more,
            in their descriptions. With `Accept: application/problem+json` the
        same failure comes as RFC 9457 problem details with the true status (400, 403, 404, 409). HTTP 401 no valid token (`reason` says why),
            402 cross-origin request refused, 405, 413, 429, and
        503 when the database does not answer in time.

        Every number is also taken as digits in text, `null` counts as absent, and an empty query value too. A PUT changes the fields that it carries and no
            others. Fields that nobody reads are accepted and named in
        `warnings`. Paths are the same with and without a slash at their end.
        """;

    private static readonly (string Name, string Description)[] Subjects =
    [
        ("cron", "Jobs on a schedule, and the ledger of everything that was due"),
        ("task", "Orders: accept, approve, follow, intervene; their logs; host keys"),
        ("task_layout", "What orders are made from: commands, arguments, templates, execute-users"),
        ("submission", "The original console's JSON page"),
        ("alerts", "Incidents, and who hears of what"),
        ("accounts", "Who may come in: people, accounts, sign-in, tokens"),
        ("outbox", "Messages between modules that were given up"),
        ("stats", "What days, jobs and orders came to"),
        ("nodes", "The cluster's nodes and clock"),
        ("settings", "The settings in force"),
        ("hold", "Whether a restored installation is held, and its release"),
        ("host", "Whether this node is alive and can do its work"),
        ("stream", "What changes, for whoever shows it"),
    ];

    public static IServiceCollection AddDescription(this IServiceCollection services)
    {
        services.ConfigureHttpJsonOptions(options => options.SerializerOptions.PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower);
        services.AddSingleton<BuiltDescription>();
        return services.AddOpenApi(
            "v1",
            options =>
            {
                options.AddDocumentTransformer(
                    (document, _, _) =>
                    {
                        document.Info = new OpenApiInfo
                        {
                            Title = "Codo",
                            Version = "v1",
                            Description = Codes,
                        };
                        document.Components ??= new OpenApiComponents();
                        document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
                        {
                            ["token"] = new OpenApiSecurityScheme
                            {
                                Type = SecuritySchemeType.ApiKey,
                                In = ParameterLocation.Header,
                                Name = "auth-key",
                                Description = "A JWT (HS256); `codo token` prints one.",
                            },
                        };
                        document.Tags = Subjects.Select(subject => new OpenApiTag { Name = subject.Name, Description = subject.Description }).ToHashSet();
                        FieldTexts.DescribeAnswers(document);
                        document.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("token", document)] = [] }];
                        return Task.CompletedTask;
                    }
                );
                // Every slice calls its answer Result: under that name alone they would all be described as one.
                // What has no fields of its own is described where it stands: a section of its own would be empty.
                options.CreateSchemaReferenceId = type =>
                    IsText(type.Type) || typeof(JsonNode).IsAssignableFrom(type.Type) ? null
                    : OpenApiOptions.CreateDefaultSchemaReferenceId(type) is { } name ? type.Type.DeclaringType?.Name + name
                    : null;
                options.AddOperationTransformer(Describe);
                options.AddSchemaTransformer(
                    (schema, context, _) =>
                    {
                        if (IsText(context.JsonTypeInfo.Type) || context.JsonTypeInfo.Type == typeof(DateTime))
                        {
                            schema.Type = JsonSchemaType.String;
                            schema.Format = null;
                            schema.Properties?.Clear();
                            schema.Required?.Clear();
                        }
                        return Task.CompletedTask;
                    }
                );
            }
        );
    }

    public static void MapDescription(this IEndpointRouteBuilder routes)
    {
        routes
            .MapGet(
                "/openapi/{documentName}.json",
                (RequestDelegate)(context => context.RequestServices.GetRequiredService<BuiltDescription>().Answer(context))
            )
            .Needs(Right.Anybody)
            .ExcludeFromDescription();
        // Its script and fonts are served from this host: nothing is fetched from elsewhere.
        routes
            .MapScalarApiReference(
                "/docs",
                options =>
                    options
                        .WithTitle("Codo API")
                        .WithOpenApiRoutePattern("/openapi/v1.json")
                        .DisableDefaultFonts()
                        .DisableAgent()
                        .DisableTelemetry()
                        .HideClientButton()
                        .HideDeveloperTools()
            )
            .Needs(Right.Anybody)
            .WithDocsPolicy();
    }

    private static async Task Describe(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancellation)
    {
        var metadata = context.Description.ActionDescriptor.EndpointMetadata;
        var right = metadata.OfType<Right>().LastOrDefault() ?? Right.Superuser;
        operation.Description = ((right == Right.Anybody ? "Needs no token. " : $"Needs: {right.Name}. ") + operation.Description).Trim();
        if (right == Right.Anybody)
            operation.Security = [];
        foreach (var (status, text) in new[] { ("401", "No valid token: `reason` says why"), ("503", "The database does not answer in time") })
            if (right != Right.Anybody)
                (operation.Responses ??= [])[status] = new OpenApiResponse { Description = text };
        operation.Tags = new HashSet<OpenApiTagReference> { new(Subject(context.Description.RelativePath ?? ""), context.Document) };
        foreach (var takes in metadata.OfType<TakesQuery>())
            foreach (var name in takes.Names)
                (operation.Parameters ??= []).Add(FieldTexts.Parameter(takes.Where, name));
        if (metadata.OfType<TakesIdempotencyKey>().Any())
            (operation.Parameters ??= []).Add(FieldTexts.Header(IdempotencyKey.Header, IdempotencyKey.Longest));
        foreach (var response in context.Description.SupportedResponseTypes.Where(response => response.Type is not null))
            FieldTexts.Meet(response.Type!);
        if (metadata.OfType<SliceOf>().LastOrDefault() is not { } slice)
            return;
        FieldTexts.Meet(slice.Type);
        if (typeof(IVersioned).IsAssignableFrom(slice.Type))
            (operation.Parameters ??= []).Add(FieldTexts.Header(HeaderNames.IfMatch));
        if (operation.Responses?.TryGetValue("200", out var ok) == true && ok is OpenApiResponse answer)
            answer.Description =
                "`code` 0 and the fields below; on a failure another `code` (-1: a wrong field, an unknown id, a state that does not allow it; -2: no "
                    + "right, or a name that is taken) and `msg` alone";
        if (context.Description.HttpMethod != "GET")
        {
            if (slice.Type.GetProperties().Length == 0)
                return;
            var body = await context.GetOrCreateSchemaAsync(slice.Type, null, cancellation);
            FieldTexts.DescribeBody(body, slice.Type);
            operation.RequestBody = new OpenApiRequestBody
            {
                Required = true,
                Content = new Dictionary<string, OpenApiMediaType>
                {
                    ["application/json"] = new()
                    {
                        Schema = body,
                        Example = Examples.Of(context.Description.HttpMethod!, context.Description.RelativePath ?? ""),
                    },
                },
            };
            return;
        }
        foreach (var property in slice.Type.GetProperties())
        {
            var name = JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name);
            var schema = await context.GetOrCreateSchemaAsync(property.PropertyType, null, cancellation);
            (operation.Parameters ??= []).Add(FieldTexts.Parameter(slice.Type, name, schema));
        }
    }

    private static bool IsText(Type type) => (Nullable.GetUnderlyingType(type) ?? type) == typeof(Text);

    // What the path is about: cron, task_layout, task, alerts; the host's own paths have no version in them.
    private static string Subject(string path)
    {
        var pieces = path.Split('/', StringSplitOptions.RemoveEmptyEntries).SkipWhile(piece => piece is "ws" or "other").ToArray();
        return pieces.Length > 1 && pieces[0] is ['v', var digit] && char.IsAsciiDigit(digit) ? pieces[1] : "host";
    }
}
