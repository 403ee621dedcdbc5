using Codo.Modules.Tasks.Hosts;
using Codo.Modules.Tasks.Layout;
using Codo.Platform.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Codo.Modules.Tasks;

/// <summary>The module's registration and its table of contents.</summary>
public static class TasksModule
{
    public static IServiceCollection AddTasks(this IServiceCollection services) => services
        .AddSingleton<HostKeys>()
        .AddHandlers(typeof(TasksModule).Assembly);

    /// <summary>Every route of the module.</summary>
    public static void MapTasks(this IEndpointRouteBuilder routes)
    {
        var operators = Right.OperatorOf("Codo:Tasks:Operators");

        routes.Get<ListCommands.Query, ListCommands.Result>("/v2/task_layout/command/", "Commands of the library");
        routes.Post<CreateCommand.Command, CreateCommand.Result>("/v2/task_layout/command/", "Add a command", operators);
        routes.Put<EditCommand.Command, Answer>("/v2/task_layout/command/", "Change a command", operators);
        routes.Delete<DeleteCommand.Command, Answer>("/v2/task_layout/command/", "Delete a command", operators);

        routes.Get<ListArguments.Query, ListArguments.Result>("/v2/task_layout/args/", "Names of arguments");
        routes.Post<CreateArgument.Command, CreateArgument.Result>("/v2/task_layout/args/", "Name an argument", operators);
        routes.Put<EditArgument.Command, Answer>("/v2/task_layout/args/", "Change an argument's name", operators);
        routes.Delete<DeleteArgument.Command, Answer>("/v2/task_layout/args/", "Delete an argument's name", operators);

        routes.Get<ListTemplates.Query, ListTemplates.Result>("/v2/task_layout/temp/", "Templates");
        routes.Post<CreateTemplate.Command, CreateTemplate.Result>("/v2/task_layout/temp/", "Make a template", operators);
        routes.Delete<DeleteTemplate.Command, Answer>("/v2/task_layout/temp/", "Delete a template (superuser, its users, its creator)");
        routes.Get<ShowTemplate.Query, ShowTemplate.Result>("/v2/task_layout/details/", "A template's steps, groups and users");
        routes.Put<ReplaceSteps.Command, Answer>("/v2/task_layout/details/", "Replace a template's steps (superuser, its users, its creator)");
        routes.Patch<ReplaceTemplateUsers.Command, Answer>("/v2/task_layout/details/", "Replace a template's users (superuser, its users, its creator)");
        routes.Get<ListTemplateArguments.Query, ListTemplateArguments.Result>("/v2/task_layout/temp/args/", "Arguments that a template takes");

        routes.Get<ListExecuteUsers.Query, ListExecuteUsers.Result>("/v2/task_layout/user/", "Execute-users, without their keys");
        routes.Post<CreateExecuteUser.Command, CreateExecuteUser.Result>("/v2/task_layout/user/", "Add an execute-user", operators);
        routes.Put<EditExecuteUser.Command, Answer>("/v2/task_layout/user/", "Change an execute-user", operators);
        routes.Delete<DeleteExecuteUser.Command, Answer>("/v2/task_layout/user/", "Delete an execute-user", operators);

        routes.Get<ListHostKeys.Query, ListHostKeys.Result>("/v2/task/host_key/", "Pinned host keys", Right.Superuser);
        routes.Delete<ForgetHostKey.Command, Answer>("/v2/task/host_key/", "Forget a host's key", Right.Superuser);
    }
}
