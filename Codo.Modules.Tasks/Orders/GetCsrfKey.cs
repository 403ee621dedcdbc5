using Codo.Platform.Http;
using Codo.Platform.Localization;
using MediatR;
using Microsoft.AspNetCore.Http;

namespace Codo.Modules.Tasks.Orders;

/// <summary>The key that the console repeats in a header with everything that it changes.</summary>
internal static class GetCsrfKey
{
    internal sealed record Query : IRequest<Result>;

    internal sealed record Result(string CsrfKey) : Answer(new Text("获取csrf_key成功", "OK"));

    internal sealed class Handler(IHttpContextAccessor http) : IRequestHandler<Query, Result>
    {
        public Task<Result> Handle(Query query, CancellationToken cancellationToken) => Task.FromResult(new Result(Xsrf.Key(http.HttpContext!)));
    }
}
