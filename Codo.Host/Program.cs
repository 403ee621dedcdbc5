Codo.Platform.Processes.CommandMask.Close();
return await Codo.Host.Commands.CommandLine.Run(args);
