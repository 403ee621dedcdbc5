// The client first: it needs nothing of the host, and none of the host's precautions.
if (Codo.Host.Client.ClientProgram.Takes(args)) return await Codo.Host.Client.ClientProgram.Run(args);
var arguments = Codo.Host.Commands.CleanStart.Take(args);
// Behind it: a program that starts again would take the closed mask for the one that it was given.
Codo.Platform.Processes.CommandMask.Close();
return await Codo.Host.Commands.CommandLine.Run(arguments);
