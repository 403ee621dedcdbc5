using System.Text.Json;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Platform.Http;

/// <summary>How a module lists its routes: one line each, the method, the path, the slice, what it is for, and who may.</summary>
public static class Routes
{
    private static readonly string[] Json = ["application/json"];

    public static IEndpointConventionBuilder Get<TQuery, TAnswer>(this IEndpointRouteBuilder routes, string path, string summary, Right right)
        where TQuery : IRequest<TAnswer> where TAnswer : Answer => Slice<TQuery, TAnswer>(routes, HttpMethods.Get, path, summary, right);

    public static IEndpointConventionBuilder Post<TCommand, TAnswer>(this IEndpointRouteBuilder routes, string path, string summary, Right right)
        where TCommand : IRequest<TAnswer> where TAnswer : Answer => Slice<TCommand, TAnswer>(routes, HttpMethods.Post, path, summary, right);

    public static IEndpointConventionBuilder Put<TCommand, TAnswer>(this IEndpointRouteBuilder routes, string path, string summary, Right right)
        where TCommand : IRequest<TAnswer> where TAnswer : Answer => Slice<TCommand, TAnswer>(routes, HttpMethods.Put, path, summary, right);

    public static IEndpointConventionBuilder Patch<TCommand, TAnswer>(this IEndpointRouteBuilder routes, string path, string summary, Right right)
        where TCommand : IRequest<TAnswer> where TAnswer : Answer => Slice<TCommand, TAnswer>(routes, HttpMethods.Patch, path, summary, right);

    public static IEndpointConventionBuilder Delete<TCommand, TAnswer>(this IEndpointRouteBuilder routes, string path, string summary, Right right)
        where TCommand : IRequest<TAnswer> where TAnswer : Answer => Slice<TCommand, TAnswer>(routes, HttpMethods.Delete, path, summary, right);

    /// <summary>A route that is no slice (a stream, a page) gets its right the same way.</summary>
    public static TBuilder Needs<TBuilder>(this TBuilder builder, Right right) where TBuilder : IEndpointConventionBuilder =>
        builder.WithMetadata(right);

    /// <summary>A route whose bodies may be longer than <c>Codo:MaxBody</c>.</summary>
    public static TBuilder WithBody<TBuilder>(this TBuilder builder, long bytes)
        where TBuilder : IEndpointConventionBuilder => builder.WithMetadata(new LongBody(bytes));

    /// <summary>A slice that reads <see cref="IdempotencyKey"/>, for the API's description.</summary>
    public static TBuilder WithIdempotencyKey<TBuilder>(this TBuilder builder) where TBuilder : IEndpointConventionBuilder =>
        builder.WithMetadata(new TakesIdempotencyKey());

    // A RequestDelegate and not a Delegate: for that the framework would compile an adapter for each route at every start.
    private static IEndpointConventionBuilder Slice<TRequest, TAnswer>(IEndpointRouteBuilder routes, string method, string path, string summary, Right right)
        where TRequest : IRequest<TAnswer> where TAnswer : Answer
    {
        RequestDelegate answers = Answers<TRequest, TAnswer>;
        // The method and the answer's type are what the API's description looks for.
        return routes
            .MapMethods(path, [method], answers)
            .WithSummary(summary)
            .WithMetadata(answers.Method, right, new SliceOf(typeof(TRequest)), new ProducesResponseTypeMetadata(200, typeof(TAnswer), Json));
    }

    private static async Task Answers<TRequest, TAnswer>(HttpContext context)
        where TRequest : IRequest<TAnswer> where TAnswer : Answer
    {
        var options = context.RequestServices.GetRequiredService<JsonSerializerOptions>();
        var request = await Body.Bind<TRequest>(context, options);
        var answer = await context.RequestServices.GetRequiredService<IMediator>().Send(request, context.RequestAborted);
        if (answer is WrittenAnswer { Body: { } written })
        {
            await written.Send(context);
            return;
        }
        await context.Response.WriteAsJsonAsync(UnknownFields.AddTo(context, answer, options), options, context.RequestAborted);
    }
}

/// <summary>What a route that is no slice takes from its query, for the API's description.</summary>
/// <param name="Names">As they stand in the query.</param>
public sealed record TakesQuery(params string[] Names)
{
    /// <summary>Before the name in <c>fields.txt</c>: the same name means something else in another route.</summary>
    public string Where { get; init; } = "stream";
}

/// <summary>Marks a route whose slice reads <see cref="IdempotencyKey"/>.</summary>
public sealed record TakesIdempotencyKey;

/// <summary>Marks a slice's endpoint, and tells the API's description which record holds the query's or the body's values.
/// ASP.NET's own <c>Accepts</c> is not used: it refuses bodies whose Content-Type is not the one named.</summary>
/// <param name="Type">The slice's query or command record.</param>
public sealed record SliceOf(Type Type);

/// <summary>How long a body of this route may be, where that is more than <c>Codo:MaxBody</c>.</summary>
/// <param name="Bytes">At most.</param>
public sealed record LongBody(long Bytes);

/// <summary>Marks a route that needs no token and does something: a browser is let in from pages of this host's own, as for a change with the cookie.</summary>
public sealed record FromOwnPages;

/// <summary>
/// What a page of this route may load and who may frame it: the value of its Content-Security-Policy. Routes without one answer no page, and get a policy that
/// allows nothing.
/// </summary>
/// <param name="Value">The header's value.</param>
public sealed record PagePolicy(string Value);
