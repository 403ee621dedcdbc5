Codo.Platform.Processes.CommandMask.Close();
return await Codo.Host.Commands.CommandLine.Run(Codo.Host.Commands.CleanStart.Take(args));
