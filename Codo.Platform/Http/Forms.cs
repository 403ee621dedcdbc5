using Microsoft.AspNetCore.Http;

namespace Codo.Platform.Http;

/// <summary>Reads the forms of pages that work without scripts.</summary>
public static class Forms
{
    /// <summary>The form's fields; none where the body is no form.</summary>
    /// <exception cref="Refusal">A form that cannot be read: too many fields, or parts without an end.</exception>
    public static async Task<IFormCollection> Read(HttpContext context)
    {
        if (!context.Request.HasFormContentType) return FormCollection.Empty;
        try
        {
            return await context.Request.ReadFormAsync(context.RequestAborted);
        }
        catch (Exception error) when (error is InvalidDataException or IOException and not BadHttpRequestException)
        {
            throw Refusal.Invalid($"无法读取表单：{error.Message}", $"The form cannot be read: {error.Message}");
        }
    }
}
