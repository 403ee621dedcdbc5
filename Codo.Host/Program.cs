return await Codo.Host.Commands.CommandLine.Run(args);
