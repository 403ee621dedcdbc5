using System.Reflection;
using FluentValidation;
using MediatR;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Platform.Http;

/// <summary>Registers a module's slices. MediatR 5.1.0 brings no registration of its own for this container.</summary>
public static class MediatorRegistration
{
    /// <summary>Every handler and validator of the assembly, each for what it handles.</summary>
    public static IServiceCollection AddHandlers(this IServiceCollection services, Assembly assembly) =>
        services.Scan(scan =>
            scan.FromAssemblies(assembly)
                .AddClasses(
                    classes => classes.AssignableToAny(typeof(IRequestHandler<,>), typeof(INotificationHandler<>), typeof(IValidator<>)),
                    publicOnly: false
                )
                .AsImplementedInterfaces(face =>
                    face.IsGenericType
                    && face.GetGenericTypeDefinition() is var kind
                    && (kind == typeof(IRequestHandler<,>) || kind == typeof(INotificationHandler<>) || kind == typeof(IValidator<>))
                )
                .WithScopedLifetime()
        );

    /// <summary>The mediator and its one pipeline step, validation; and what lists remember of their pages.</summary>
    public static IServiceCollection AddMediator(this IServiceCollection services) => services
        .AddSingleton<PagePositions>()
        .AddScoped<IMediator, Mediator>()
        .AddScoped<ServiceFactory>(provider => provider.GetRequiredService)
        .AddScoped(typeof(IPipelineBehavior<,>), typeof(Validating<,>));
}

internal sealed class Validating<TRequest, TAnswer>(IEnumerable<IValidator<TRequest>> validators) : IPipelineBehavior<TRequest, TAnswer>
{
    public async Task<TAnswer> Handle(TRequest request, CancellationToken cancellationToken, RequestHandlerDelegate<TAnswer> next)
    {
        foreach (var validator in validators)
        {
            var result = await validator.ValidateAsync(request, cancellationToken);
            if (!result.IsValid) throw result.Errors[0].ToRefusal();
        }
        return await next();
    }
}
