using System.Text.Json;
using Codo.Platform.Data;
using Codo.Platform.Http;
using Codo.Platform.Security;
using Npgsql;

namespace Codo.Host.Accounts;

/// <summary>
/// The audit as JSON lines, newest first, for as long as the client reads: a page at a time, so that neither this process nor PostgreSQL holds more than one.
/// </summary>
internal static class ExportAudit
{
    private const int PageLength = 1000;

    internal sealed record Filter(string? Who, string? Kind, string? Object, string? Action, string? Result, string? From, string? To, string? After)
        : IAuditFilter;

    public static async Task Handle(HttpContext context)
    {
        var query = context.Request.Query;
        var filter = new Filter(
            Value("who"), Value("kind"), Value("object"), Value("action"), Value("result"), Value("from"), Value("to"), Value("after"));
        var validator = new Validator();
        if (await validator.ValidateAsync(filter) is { IsValid: false } wrong) throw (Refusal)wrong.Errors[0].CustomState;
        var options = new JsonSerializerOptions(context.RequestServices.GetRequiredService<JsonSerializerOptions>()) { WriteIndented = false };
        var audit = context.RequestServices.GetRequiredService<AuditReader>();
        var (rows, next) = await audit.Read(filter, PageLength, context.RequestAborted);
        await Note(context, filter);
        context.Response.ContentType = "application/x-ndjson; charset=utf-8";
        context.Response.Headers.ContentDisposition = "attachment; filename=\"codo-audit.jsonl\"";
        while (true)
        {
            foreach (var row in rows)
            {
                await JsonSerializer.SerializeAsync(context.Response.Body, row, options, context.RequestAborted);
                await context.Response.Body.WriteAsync("\n"u8.ToArray(), context.RequestAborted);
            }

            if (next is null) return;
            (rows, next) = await audit.Read(filter with { After = next }, PageLength, context.RequestAborted);
        }

        // As pages do: PostgreSQL refuses a NUL.
        string? Value(string name) => query[name].ToString() is { Length: > 0 } value ? OutsideText.Storable(value) : null;
    }

    // Who takes the audit away is itself in it.
    private static async Task Note(HttpContext context, Filter filter)
    {
        await using var connection = await context.RequestServices.GetRequiredService<NpgsqlDataSource>().OpenConnectionAsync(context.RequestAborted);
        await using var transaction = await connection.BeginTransactionAsync(context.RequestAborted);
        await Audit.Write(connection, transaction, Caller.Of(context)!, "export", "audit", "", after: filter);
        await transaction.CommitAsync(context.RequestAborted);
    }

    private sealed class Validator : FluentValidation.AbstractValidator<Filter>
    {
        public Validator() => AuditReader.Rules(this);
    }
}
