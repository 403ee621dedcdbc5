using System.Text.Json;
using Codo.Platform.Http;
using FluentValidation;
using MediatR;
using Microsoft.AspNetCore.Http;

namespace Codo.Modules.Tasks.Orders;

/// <summary>The console's JSON page: accept's body as a text.</summary>
internal static class SubmitPage
{
    internal sealed record Command(string? PostData, string? StartTime) : IRequest<AcceptOrder.Result>;

    internal sealed class Validator : AbstractValidator<Command>
    {
        public Validator() => RuleFor(command => command.PostData).NotEmpty().Refuse("必填项不能为空", "post_data is required");
    }

    internal sealed class Handler(Acceptance acceptance, IHttpContextAccessor http, JsonSerializerOptions options)
        : IRequestHandler<Command, AcceptOrder.Result>
    {
        public Task<AcceptOrder.Result> Handle(Command command, CancellationToken cancellationToken)
        {
            var order = Read(command.PostData!);
            if (http.HttpContext is { } context)
                UnknownFields.Note<AcceptOrder.Command>(context, System.Text.Encoding.UTF8.GetBytes(command.PostData!), options);
            if (!string.IsNullOrWhiteSpace(command.StartTime))
                order = order with { ExecTime = command.StartTime };
            return acceptance.Accept(order, IdempotencyKey.Of(http.HttpContext), cancellationToken);
        }

        private AcceptOrder.Command Read(string text)
        {
            try
            {
                using var document = JsonDocument.Parse(text);
                if (document.RootElement.ValueKind == JsonValueKind.Object) return document.RootElement.Deserialize<AcceptOrder.Command>(options)!;
            }
            catch (JsonException error) when (error.Path is { Length: > 2 } path)
            {
                throw Refusal.Invalid($"字段 {path[2..]} 的值或类型不正确", $"The field {path[2..]} has a wrong value or type");
            }
            catch (Exception error) when (error is JsonException or InvalidOperationException)
            {
                throw NoJson;
            }
            throw NoJson;
        }

        private static Refusal NoJson => Refusal.Invalid("提交的内容不是有效的 JSON", "post_data is no JSON object", -2);
    }
}
