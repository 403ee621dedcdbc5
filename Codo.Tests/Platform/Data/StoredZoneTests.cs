using Codo.Platform.Data;
using Codo.Platform.Localization;
using Codo.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Codo.Tests.Platform.Data;

public sealed class StoredZoneTests(TestPostgres postgres)
{
    [Fact]
    public async Task A_machine_whose_zone_has_no_name_is_given_one_before_any_is_stored()
    {
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await using var source = NpgsqlDataSource.Create(database + ";Pooling=false");
        var zone = new Zone();
        var stored = new StoredZone(source, zone, TimeProvider.System, NullLogger<StoredZone>.Instance);
        // As .NET calls it where /etc/localtime is a copy of no file of the zone data.
        var local = TimeZoneInfo.CreateCustomTimeZone("Local", TimeSpan.FromHours(8), "Local", "Local");

        (await Should.ThrowAsync<TimeZoneNotFoundException>(() => stored.Load("", local))).Message.ShouldContain("/etc/localtime is a copy");
        (await Settings.Read(source, "time_zone")).ShouldBeNull();

        await stored.Load("Asia/Shanghai", local);
        zone.Info.Id.ShouldBe("Asia/Shanghai");
        // The next start, or another node's, goes by what is stored.
        await stored.Load("", local);
        zone.Info.Id.ShouldBe("Asia/Shanghai");
    }

    [Fact]
    public async Task A_machine_whose_zone_has_a_name_decides_at_the_first_start()
    {
        var database = await postgres.CreateDatabase(await postgres.Template("codo_migrated", TestHost.Migrate));
        await using var source = NpgsqlDataSource.Create(database + ";Pooling=false");
        var zone = new Zone();
        await new StoredZone(source, zone, TimeProvider.System, NullLogger<StoredZone>.Instance).Load("", TimeZoneInfo.FindSystemTimeZoneById("Asia/Tokyo"));
        zone.Info.Id.ShouldBe("Asia/Tokyo");
        (await Settings.Read(source, "time_zone")).ShouldBe("Asia/Tokyo");
    }
}
