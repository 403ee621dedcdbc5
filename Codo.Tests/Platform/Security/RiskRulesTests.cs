using System.Diagnostics;
using Codo.Platform.Localization;
using Codo.Platform.Processes;
using Codo.Platform.Security;
using Codo.Tests.Modules.Cron.Jobs;
using Codo.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Tests.Platform.Security;

public sealed class RiskRulesTests(CronHost fixture) : IClassFixture<CronHost>
{
    private static readonly (string Rule, string[] Commands)[] Accidents =
    [
        ("rm-root", [
            "rm -rf /", "rm  -r   -f  /", "sudo rm -fr /*", "sudo -u root -n rm -rf '/'", @"\rm -rf /", "/bin/rm -rf \"/\"", "'rm' -rf /etc",
            "cd /x && rm -rf /usr/",
            "rm --recursive --force --no-preserve-root /", "sh -c 'rm -rf /'", "bash -ec \"sudo rm -rf /var/*\"", "D=/; rm -rf $D",
            "D=/ ; rm -rf ${D}", "rm -rf ${X:-/}",
            "if true; then rm -rf /; fi", "echo hi; nohup nice -n 5 rm -Rf / &", "ssh -p 22 web1 'rm -rf /home'", "ssh root@web1 rm -rf /",
            "echo 'rm -rf /' | sh",
            "eval \"rm -rf /\"", "x=$(rm -rf /)", "env A=1 rm -rf /", "find . -name x -exec rm -rf / \\;", "r\"m\" -rf /", "rm -rf build /",
            "sh <<EOF\nrm -rf /\nEOF",
            "timeout 5 rm -rf /", "$'\\x72m' -rf /", "rm \\\n -rf /", "su - deploy -c 'rm -rf /'", "for i in 1 2; do rm -rf /opt; done",
            "flock -n /var/lock/x -c 'rm -rf /'", "flock /var/lock/x rm -rf /", "runuser -l deploy -c 'rm -rf /'", "sudo runuser deploy -lc 'rm -rf /'",
            "runuser -g app -u deploy -- rm -rf /", "runuser --user deploy -- rm -rf /", "runuser --group app -u deploy rm -rf /",
            "su app --command='rm -rf /'", "runuser deploy --command='rm -rf /'", "su app -c'rm -rf /'", "su -lc'rm -rf /' app",
            "su -s/bin/csh app -c 'rm -rf /'", "flock --timeout 5 /var/lock/x rm -rf /",
            "sudo --user root rm -rf /", "sudo --user=root rm -rf /", "timeout --signal KILL 5 rm -rf /", "nice --adjustment 5 rm -rf /",
            "ionice --class 2 rm -rf /", "env --unset A rm -rf /", "echo / | xargs --max-args 1 rm -rf /", "runuser --shell /bin/sh -u deploy rm -rf /",
            "watch --interval 5 rm -rf /", "stdbuf --output L rm -rf /",
        ]),
        ("rm-variable", ["rm -rf $DIR/", "rm -rf \"$DIR\"/*", "rm -rf ${DIR}/*"]),
        ("find-delete", ["find / -name '*.log' -delete", "sudo find /var -type f -exec rm {} \\;"]),
        ("mkfs", ["mkfs.ext4 /dev/sdb1", "sudo mkfs -t xfs /dev/vdb", "yes | mkfs.xfs -f /dev/nvme0n1"]),
        ("dd-device", ["dd if=/dev/zero of=/dev/sda bs=1M", "sudo dd of=/dev/nvme0n1 if=x"]),
        ("write-device", ["cat image > /dev/sda", "echo x >/dev/sdb1", "gunzip -c x.gz >> /dev/vda"]),
        ( "wipe-disk", [ "wipefs -a /dev/sdb", "sudo wipefs --all /dev/sdb", "shred -v /dev/sda", "sgdisk --zap-all /dev/sda",
        "parted -s /dev/sda mklabel gpt" ]),
        ("remove-volume", ["lvremove -f vg0/data", "zpool destroy tank"]),
        ("fork-bomb", [":(){ :|:& };:", "bomb() { bomb | bomb & }; bomb", ":( ) { : | : & } ; :"]),
        ("chmod-root", ["chmod -R 777 /", "sudo chmod 777 -R /", "chmod --recursive a+rwx /etc/"]),
        ("chown-root", ["chown -R app:app /", "chgrp -R app /usr"]),
        ("mv-system", ["mv /etc /tmp/etc", "mv /* /backup", "mv important /dev/null"]),
        ("overwrite-accounts", ["echo x > /etc/passwd", "truncate -s 0 /etc/hosts", ": > /etc/fstab"]),
        ("power", ["reboot", "sudo shutdown -h now", "shutdown now", "init 0", "systemctl reboot", "poweroff", "/sbin/halt"]),
        ("kill-all", ["kill -9 -1", "kill -KILL -1", "kill -9 1", "killall5 -9"]),
        ("firewall", ["iptables -F", "iptables -t nat -F", "ip6tables --flush", "iptables -P INPUT DROP", "nft flush ruleset", "ufw --force reset"]),
        ("stop-access", ["systemctl stop sshd", "systemctl disable --now ssh.service", "service ssh stop", "ip link set eth0 down"]),
        ("crontab-remove", ["crontab -r", "crontab -u deploy -r", "sudo crontab -ir"]),
        ("delete-user", ["userdel -r deploy", "passwd -l root"]),
        ("sql-drop", [
            "mysql -e 'DROP DATABASE shop;'", "psql -c \"drop  table users \"", "echo 'drop database shop;' | mysql -uroot",
            "mysql <<EOF\nUSE shop;\nDROP TABLE users;\nEOF",
            "docker exec db psql -c 'DROP SCHEMA x cascade'", "flock /var/lock/x psql -c 'drop table users'",
            "runuser -u postgres -- psql -c 'drop table users'",
        ]),
        ("sql-empty", ["mysql shop -e 'TRUNCATE TABLE users'", "psql -c 'delete from users;'"]),
        ("nosql-empty", ["redis-cli flushall", "redis-cli -h cache FLUSHDB", "mongosh shop --eval 'db.dropDatabase()'"]),
        ( "cluster-delete", [ "kubectl delete ns shop", "kubectl -n shop delete pods --all", "terraform destroy -auto-approve",
        "docker system prune -af" ]),
    ];

    private static readonly string[] Harmless =
    [
        "rm -rf /tmp/build", "rm -rf ./dist", "rm -rf dist/*", "rm -f /var/log/app.log", "rm -rf /var/log/app/", "rm -rf \"${DIR:?}\"/",
        "rm -rf $DIR", "rm -rf $HOME/.cache/x",
        "echo 'rm -rf /'", "echo rm -rf /", "grep -r 'rm -rf /' docs", "# rm -rf /", "true # reboot", "git commit -m 'rm -rf / is bad; reboot'",
        "ls /; rm x", "rm -rf build; ls /",
        "dd if=/dev/sda of=/backup/sda.img", "dd if=/dev/zero of=/tmp/x", "echo x > /dev/null 2>&1", "cat x > /dev/stdout",
        "chmod -R 755 /srv/www", "chmod 777 /tmp", "chmod -r /etc/x",
        "chown -R app /srv/app", "chown app /etc/app.conf", "mv /etc/app.conf /etc/app.conf.bak", "mv a b", "shutdown -c",
        "systemctl restart sshd", "systemctl status reboot.target",
        "systemctl reload nginx", "kill -9 1234", "kill -1 1234", "kill -HUP 1", "pkill -f app", "iptables -L",
        "iptables -A INPUT -p tcp -j ACCEPT", "ip link show", "crontab -l",
        "crontab -u root /etc/x", "crontab deploy-r", "useradd x", "mysql -e 'SELECT 1'", "mysqldump --add-drop-table shop",
        "psql -c 'delete from users where id = 1'",
        "psql -c 'drop index x'", "truncate -s 0 /tmp/x", "redis-cli get x", "kubectl get ns", "kubectl delete pod x", "docker ps",
        "docker system prune -f", "find /tmp -mtime +7 -delete",
        "find /var/log/app -name '*.gz' -delete", "wipefs /dev/sdb", "fdisk -l", "parted -l", "cat /etc/passwd > /tmp/x", "f() { a | b; }; f",
        "echo reboot > /tmp/x", "./reboot.sh",
        "tar czf /backup/etc.tgz /etc", "rsync -a --delete src/ dst/", "make -C / install", "cd / && ls -R",
        "flock /var/lock/x -c 'rm -rf /tmp/build'", "runuser -l deploy -c 'rm -rf /tmp/build'",
        "su app --command='rm -rf /tmp/build'", "su app -c'rm -rf /tmp/build'", "flock --timeout 5 /var/lock/x rm -rf /tmp/build",
    ];

    private readonly TestHost host = fixture.Host;

    [Fact]
    public async Task The_default_rules_find_the_classic_accidents_however_they_are_written_and_leave_everyday_commands_alone()
    {
        var rules = await Rules();
        var wrong = new List<string>();
        foreach (var (rule, commands) in Accidents)
            foreach (var command in commands)
                if (rules.Check(command).All(hit => hit.Name != rule))
                    wrong.Add($"{rule} misses: {command} [{string.Join(" | ", SimpleCommands.Of(command))}]");
        foreach (var command in Harmless)
            if (rules.Check(command) is [var hit, ..])
                wrong.Add($"{hit.Name} finds: {command} [{string.Join(" | ", SimpleCommands.Of(command))}]");
        wrong.ShouldBeEmpty();
        Accidents.Length.ShouldBeGreaterThanOrEqualTo(20);
        rules.Check("rm -rf /").ShouldAllBe(hit => hit.Action == RiskAction.Warn);
    }

    [Fact]
    public async Task Variables_that_the_environment_is_known_to_have_are_put_in()
    {
        var rules = await Rules();
        rules.Check("rm -rf $TARGET", new Dictionary<string, string> { ["TARGET"] = "/" }).ShouldContain(hit => hit.Name == "rm-root");
        rules.Check("rm -rf $TARGET", new Dictionary<string, string> { ["TARGET"] = "/tmp/x" }).ShouldBeEmpty();
    }

    [Fact]
    public void Words_stand_in_one_command_in_their_order_whatever_their_case()
    {
        Made("words", "Drop Production").Finds("x", SimpleCommands.Of("db drop 'the production; now'")).ShouldBeTrue();
        Made("words", "drop production").Finds("x", SimpleCommands.Of("production drop")).ShouldBeFalse();
        Made("words", "drop production").Finds("x", SimpleCommands.Of("drop; production")).ShouldBeFalse();
    }

    [Theory]
    [InlineData("(?=x)y")]
    [InlineData(@"(a)\1")]
    [InlineData("(unclosed")]
    [InlineData("((a{1000}){1000}){1000}")]
    public void A_pattern_that_does_not_read_or_would_take_time_without_end_is_refused_in_words(string pattern)
    {
        var clock = Stopwatch.StartNew();
        RiskRule.TryMake(1, "x", "regex", pattern, "warn", default, out _, out var why).ShouldBeFalse();
        why.Zh.ShouldContain("pattern");
        why.En.ShouldContain("pattern");
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task Neither_a_pattern_nor_a_line_that_was_made_to_be_slow_is()
    {
        var rule = Made("regex", "^(a+)+$");
        var line = new string('a', 100_000) + "!";
        var clock = Stopwatch.StartNew();
        rule.Finds(line, [line]).ShouldBeFalse();
        var rules = await Rules();
        foreach (var made in (string[])["$(", "`", "\"$(", "${", "(", "sh -c '", "rm -rf ", "<<A ", "| echo "])
            rules.Check(string.Concat(Enumerable.Repeat(made, 100_000 / made.Length)));
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(20));
    }

    [Fact]
    public async Task A_line_that_grows_while_it_is_read_is_given_up_and_counts_as_found()
    {
        var rules = await Rules();
        foreach (
            var line in new[]
            {
                "a=xxxxxxxxxx;" + string.Concat(Enumerable.Repeat("a=$a$a;", 20)) + "echo $a",
                "a=xxxxxxxxxx;" + string.Concat(Enumerable.Repeat("a=${a}${a};", 20)) + "echo $a",
                string.Concat(Enumerable.Repeat("find -exec ", 4000)),
                $"echo {new string('y', 50_000)}" + string.Concat(Enumerable.Repeat("|echo", 1000)),
            }
        )
        {
            SimpleCommands.Of(line, null, out var isWhole).Sum(command => (long)command.Length).ShouldBeLessThan(2_000_000, line[..40]);
            isWhole.ShouldBeFalse(line[..40]);
            rules.Check(line + "; true").ShouldContain(hit => hit.Name == "rm-root", line[..40]);
        }

        // As many lines as a long script has, and a long value that is used a few times, are read to their end.
        SimpleCommands.Of(string.Concat(Enumerable.Repeat("cp a.txt b.txt\n", 6000)), null, out var isScriptWhole).Count.ShouldBe(6000);
        isScriptWhole.ShouldBeTrue();
        var known = new Dictionary<string, string> { ["CONFIG"] = new('c', 60_000) };
        SimpleCommands.Of("echo \"$CONFIG\" > a; echo \"$CONFIG\" > b; sh -c \"echo $CONFIG\"", known, out var isLongWhole).Count.ShouldBe(4);
        isLongWhole.ShouldBeTrue();
    }

    [Fact]
    public void Rules_that_are_not_asked_let_go_of_their_memory_and_find_the_same_afterwards()
    {
        var set = new RiskRuleSet("1", [Made("regex", @"^rm -rf /\w*"), Made("words", "mkfs")]);
        set.Check("rm -rf /srv").Count.ShouldBe(1);
        set.LetGoAtRest().ShouldBeFalse("a look was before it");
        set.LetGoAtRest().ShouldBeFalse();
        set.Check("rm -rf /opt").Count.ShouldBe(1);
        set.LetGoAtRest().ShouldBeFalse("a look was between");
        set.LetGoAtRest().ShouldBeFalse();
        set.LetGoAtRest().ShouldBeTrue();
        set.LetGoAtRest().ShouldBeFalse("nothing is left");
        set.Check("rm -rf /var").Count.ShouldBe(1);
        set.Check("mkfs /dev/sda").Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_pattern_that_is_tried_finds_what_it_finds_once_it_is_saved()
    {
        // Too much to read; and as an editor on another system saved it.
        var growing = "a=xxxxxxxxxx;" + string.Concat(Enumerable.Repeat("a=$a$a;", 20)) + "echo $a";
        foreach (var (cmd, pattern, finds) in new[] { (growing, "zzz", true), ("\uFEFFecho hi\r\necho b", @"\Aecho hi\necho", true), ("echo b", "zzz", false) })
        {
            var answer = await host.Post("/v2/task/risk/test/", new { cmd, pattern });
            answer["code"]!.GetValue<int>().ShouldBe(0, answer.ToJsonString());
            answer["data"]!["matches"]!.GetValue<bool>().ShouldBe(finds, pattern);
        }
    }

    private static RiskRule Made(string kind, string pattern)
    {
        RiskRule.TryMake(1, "x", kind, pattern, "warn", Text.Same("r"), out var rule, out var why).ShouldBeTrue(why.En);
        return rule!;
    }

    private async Task<RiskRuleSet> Rules()
    {
        await using var connection = await host.Source.OpenConnectionAsync();
        return await host.Services.GetRequiredService<RiskRules>().Read(connection);
    }
}
