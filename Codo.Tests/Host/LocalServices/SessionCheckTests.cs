using Codo.Host.LocalServices;
using Codo.Tests.Support;

namespace Codo.Tests.Host.LocalServices;

public sealed class SessionCheckTests(TestPostgres postgres)
{
    [Fact]
    public async Task A_pooler_in_transaction_mode_is_refused_and_PostgreSQL_itself_is_not()
    {
        var database = await postgres.CreateDatabase();
        await SessionCheck.Verify(database);
        using var folder = new TestFolder();
        using var pooler = new TransactionPooler(folder.Path, database);
        (await Should.ThrowAsync<StartRefused>(() => SessionCheck.Verify(pooler.ConnectionString))).Message.ShouldContain("transaction mode");
    }
}
