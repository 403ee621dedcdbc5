using Codo.Host;

var builder = WebApplication.CreateBuilder(args);
builder.AddCodo();
var app = builder.Build();
await app.Prepare();
app.UseCodo();
await app.RunAsync();
