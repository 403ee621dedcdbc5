using Codo.Platform.Http;
using FluentValidation;
using MediatR;

namespace Codo.Host.Accounts;

/// <summary>Who did what, newest first. There is no count: at ten million lines it would cost more than every page.</summary>
internal static class ListAudit
{
    /// <param name="Who">A user id, or a username.</param>
    /// <param name="Object">As <paramref name="Kind"/> numbers or names them: a job's id, an order's number.</param>
    /// <param name="Result"><c>ok</c>, <c>refused</c>, <c>failed</c>, or <c>bad</c> for the last two.</param>
    /// <param name="After"><c>next</c> of the page before.</param>
    internal sealed record Query(
        string? Who,
        string? Kind,
        string? Object,
        string? Action,
        string? Result,
        string? From,
        string? To,
        string? After,
        int? Limit
    ) : IRequest<Result>, IAuditFilter;

    /// <param name="Next">What to ask with as <c>after</c> for older lines; null on the last page.</param>
    internal sealed record Result(IReadOnlyList<AuditRow> Data, string? Next) : Answer(Messages.Fetched);

    internal sealed class Validator : AbstractValidator<Query>
    {
        public Validator()
        {
            AuditReader.Rules(this);
            RuleFor(query => query.Limit).Within(1, 1000, "limit");
        }
    }

    internal sealed class Handler(AuditReader audit) : IRequestHandler<Query, Result>
    {
        private const int DefaultLimit = 50;

        public async Task<Result> Handle(Query query, CancellationToken cancellationToken)
        {
            var (rows, next) = await audit.Read(query, query.Limit ?? DefaultLimit, cancellationToken);
            return new Result(rows, next);
        }
    }
}
