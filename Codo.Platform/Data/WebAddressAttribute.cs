using System.ComponentModel.DataAnnotations;

namespace Codo.Platform.Data;

/// <summary>A setting that is the address of something on the web, or empty.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class WebAddressAttribute() : ValidationAttribute("It must be an address such as https://codo.example.com, or empty.")
{
    public override bool IsValid(object? value) =>
        value is not string { Length: > 0 } text
        || (!text.Any(char.IsWhiteSpace) && Uri.TryCreate(text, UriKind.Absolute, out var address) && address.Scheme is "http" or "https");
}
