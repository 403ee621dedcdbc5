using MediatR;

namespace Codo.Tests.Support;

/// <summary>A mediator that hears what is published; nothing is sent by it.</summary>
internal abstract class Listener : IMediator
{
    public abstract Task Publish(object notification, CancellationToken cancellationToken = default);

    public Task Publish<TNotification>(TNotification notification, CancellationToken cancellationToken = default)
        where TNotification : INotification => Publish((object)notification, cancellationToken);

    public Task<TResponse> Send<TResponse>(IRequest<TResponse> request, CancellationToken cancellationToken = default) => throw new NotSupportedException();

    public Task Send<TRequest>(TRequest request, CancellationToken cancellationToken = default)
        where TRequest : IRequest => throw new NotSupportedException();

    public Task<object?> Send(object request, CancellationToken cancellationToken = default) => throw new NotSupportedException();
}
