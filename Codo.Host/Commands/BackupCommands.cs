using System.CommandLine;
using Codo.Host.Backups;

namespace Codo.Host.Commands;

/// <summary><c>codo backup</c> and <c>codo restore</c>.</summary>
internal static class BackupCommands
{
    public static Command Backup()
    {
        var file = new Argument<string>("FILE") { Description = "Where the backup goes; it is readable by its owner alone." };
        var keys = new Option<string?>("--keys") { Description = "Write the installation's keys to a file of their own.", HelpName = "KEYS" };
        var withKeys = new Option<bool>("--with-keys") { Description = "Put the keys into the backup itself." };
        var command = new Command("backup", "Write the whole database to one file, as it is at this moment; hosts may run.")
        {
            file,
            keys,
            withKeys,
        };
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction(
            async (parsed, _) =>
            {
                await TakeBackup.Run(CommandLine.SettingsOf(parsed), parsed.GetRequiredValue(file), parsed.GetValue(keys), parsed.GetValue(withKeys));
                return 0;
            }
        );
        return command;
    }

    public static Command Restore()
    {
        var file = new Argument<string>("FILE") { Description = "A backup." };
        var keys = new Option<string?>("--keys") { Description = "The keys of the installation that was backed up.", HelpName = "KEYS" };
        var replace = new Option<bool>(RestoreBackup.Replace) { Description = "Remove everything of Codo that is in the database." };
        var withoutKeys = new Option<bool>(RestoreBackup.WithoutKeys) { Description = "Do without the keys; stored secrets cannot be read then." };
        var command = new Command("restore", "Bring a backup into an empty database; the installation is held until a superuser releases it.")
        {
            file,
            keys,
            replace,
            withoutKeys,
        };
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction(
            async (parsed, _) =>
            {
                await RestoreBackup.Run(
                    CommandLine.SettingsOf(parsed),
                    parsed.GetRequiredValue(file),
                    parsed.GetValue(keys),
                    parsed.GetValue(replace),
                    parsed.GetValue(withoutKeys)
                );
                return 0;
            }
        );
        return command;
    }
}
