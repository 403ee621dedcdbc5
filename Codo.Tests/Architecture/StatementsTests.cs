using System.Reflection;
using Codo.Modules.Alerts;
using Codo.Modules.Cron;
using Codo.Modules.Tasks;
using Codo.Platform.Data;
using Codo.Tests.Support;
using Npgsql;

namespace Codo.Tests.Architecture;

public sealed class StatementsTests(TestPostgres postgres)
{
    /// <summary>
    /// Described, not run: a column or a table that is not there, or a parameter without a type, is found before any test of the slice is written.
    /// </summary>
    [Fact]
    public async Task Every_statement_is_understood_by_the_migrated_database()
    {
        await using var host = await TestHost.Start(postgres);
        await using var connection = await host.Source.OpenConnectionAsync();
        var statements = Statements().ToList();
        statements.Count.ShouldBeGreaterThan(100);
        var wrong = new List<string>();
        foreach (var (name, sql) in statements)
        {
            await using var command = new NpgsqlCommand(sql, connection);
            try
            {
                NpgsqlCommandBuilder.DeriveParameters(command);
            }
            catch (Exception error) when (error is PostgresException or NpgsqlException)
            {
                wrong.Add($"{name}: {error.Message}");
            }
        }
        wrong.ShouldBeEmpty();
    }

    private static IEnumerable<(string Name, string Sql)> Statements() =>
        from assembly in new[]
        {
            typeof(Migrator).Assembly,
            typeof(CronModule).Assembly,
            typeof(TasksModule).Assembly,
            typeof(AlertsModule).Assembly,
            typeof(Codo.Host.Composition).Assembly,
        }
        from type in assembly.GetTypes()
        from field in type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
        where field.IsLiteral && field.Name.EndsWith("Sql", StringComparison.Ordinal) && field.FieldType == typeof(string)
        select ($"{type.FullName}.{field.Name}", (string)field.GetRawConstantValue()!);
}
