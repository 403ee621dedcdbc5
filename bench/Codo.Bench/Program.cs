Console.WriteLine("usage: Codo.Bench cron|http");
