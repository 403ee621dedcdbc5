using System.Globalization;
using System.Text.Json;
using Codo.Platform.Data;
using Codo.Platform.Localization;
using Codo.Platform.Security;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Codo.Platform.Http;

/// <summary>Every failure in one place: refusals, limits, a database that does not answer, and what nobody foresaw.</summary>
public static class Failures
{
    /// <summary>Answers what the rest of the pipeline throws, and gives bare 404, 405 and 413 the contract's JSON.</summary>
    public static IApplicationBuilder UseFailures(this IApplicationBuilder app) =>
        app.Use(
            async (HttpContext context, RequestDelegate next) =>
            {
                try
                {
                    await next(context);
                    if (context.Response is { HasStarted: false, ContentLength: null, ContentType: null } && Bare(context.Response.StatusCode) is { } text)
                        await Write(context, context.Response.StatusCode, context.Response.StatusCode, text);
                }
                catch (Refusal refusal)
                {
                    var more = refusal.More ?? (refusal.Hint is { } hint ? new { hint } : new { });
                    if (refusal.RetryAfter is { } seconds) context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
                    if (Caller.Of(context) is { } caller)
                        context.RequestServices.GetService<RefusedAttempts>()?.Refused(caller, RefusedAttempts.Route(context), refusal);
                    await Write(
                        context,
                        refusal.Code,
                        StatusOf(refusal.Kind),
                        refusal.Text,
                        UnknownFields.AddTo(context, more, context.RequestServices.GetRequiredService<JsonSerializerOptions>())
                    );
                }
                catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
                {
                    // The client went away: there is nobody left to answer, and nothing failed.
                    if (!context.Response.HasStarted)
                        context.Response.StatusCode = 499;
                }
                catch (BadHttpRequestException error)
                {
                    var text = Bare(error.StatusCode) ?? new Text("请求无效：" + error.Message, "Bad request: " + error.Message);
                    await Write(context, error.StatusCode, error.StatusCode, text);
                }
                catch (PostgresException error) when (error.SqlState == PostgresErrorCodes.ForeignKeyViolation)
                {
                    // It was there when the slice looked, and somebody was quicker.
                    Log(context).LogInformation("{Method} {Path}: {Error}", context.Request.Method, context.Request.Path.Value, error.MessageText);
                    await Write(context, -1, 409, new Text("请求所引用的对象刚刚被删除", "Something that the request refers to was deleted just now"));
                }
                catch (Exception error) when (DatabaseErrors.IsTransient(error))
                {
                    Log(context).LogWarning(error, "Database away: {Method} {Path} answered 503", context.Request.Method, context.Request.Path.Value);
                    await Write(context, 503, 503, new Text("数据库暂时无法响应，请稍后重试", "The database does not answer in time; try again shortly"));
                }
                catch (Exception error)
                {
                    Log(context).LogError(error, "Unhandled failure: {Method} {Path}", context.Request.Method, context.Request.Path.Value);
                    var id = context.TraceIdentifier;
                    await Write(context, 500, 500, new Text($"内部错误，请求编号 {id}", $"Internal error, request id {id}"));
                }
            }
        );

    /// <summary>
    /// Writes a failure: the envelope, or RFC 9457 problem details for a client that asks for them. An answer that has begun is cut off instead.
    /// </summary>
    /// <param name="code">The envelope's <c>code</c>.</param>
    /// <param name="status">The true HTTP status; the envelope of a business failure goes out as 200.</param>
    /// <param name="isBusiness">Whether the envelope goes out as 200; null: by its code.</param>
    public static async Task Write(HttpContext context, int code, int status, Text text, object? more = null, bool? isBusiness = null)
    {
        if (context.Response.HasStarted)
        {
            // Its end would look like that of a whole answer: the client is to see that it was cut.
            context.Abort();
            return;
        }
        var options = context.RequestServices.GetRequiredService<JsonSerializerOptions>();
        // 405 has to say which methods there are, and routing has written it already; 429 says when to come again.
        var (allowed, retryAfter) = (context.Response.Headers.Allow, context.Response.Headers.RetryAfter);
        context.Response.Clear();
        (context.Response.Headers.Allow, context.Response.Headers.RetryAfter) = (allowed, retryAfter);
        if (context.Request.Headers.Accept.Any(accept => accept?.Contains("application/problem+json", StringComparison.OrdinalIgnoreCase) == true))
        {
            context.Response.StatusCode = status;
            var problem = JsonSerializer
                .SerializeToNode(
                    new
                    {
                        type = "about:blank",
                        title = text.ToString(),
                        status,
                        code,
                        detail = text.ToString(),
                    },
                    options
                )!
                .AsObject();
            foreach (var (name, value) in JsonSerializer.SerializeToNode(more ?? new { }, options)!.AsObject())
                problem[name] = value?.DeepClone();
            await context.Response.WriteAsJsonAsync(problem, options, "application/problem+json", context.RequestAborted);
            return;
        }
        context.Response.StatusCode = (isBusiness ?? code < 100) ? 200 : status;
        var answer = JsonSerializer.SerializeToNode(more ?? new { }, options)!.AsObject();
        answer.Insert(0, "code", code);
        answer.Insert(1, "msg", text.ToString());
        await context.Response.WriteAsJsonAsync(answer, options, context.RequestAborted);
    }

    private static Text? Bare(int status) => status switch
    {
        404 => new Text("没有这个地址", "No such path"),
        405 => new Text("此地址不支持这个方法", "This path does not have that method"),
        413 => new Text("请求体太大", "The body is too large"),
        429 => new Text("请求太频繁，请稍后重试", "Too many requests; try again shortly"),
        _ => null,
    };

    internal static int StatusOf(RefusalKind kind) => kind switch
    {
        RefusalKind.Forbidden => 403,
        RefusalKind.NotFound => 404,
        RefusalKind.Conflict => 409,
        RefusalKind.TooMany => 429,
        _ => 400,
    };

    private static ILogger Log(HttpContext context) => context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger("Codo.Http");
}
