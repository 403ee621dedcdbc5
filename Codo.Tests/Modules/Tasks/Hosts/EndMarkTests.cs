using System.Text;
using Codo.Modules.Tasks.Hosts;
using CsCheck;

namespace Codo.Tests.Modules.Tasks.Hosts;

public sealed class EndMarkTests
{
    [Fact]
    public void Is_found_whatever_the_pieces_and_takes_nothing_of_the_output_with_it() =>
        Gen.Select(Gen.Int[0, 300], Gen.Int[0, 200], Gen.Int[0, 255], Gen.Int[1, 60], Gen.Int[0, 42])
            .Sample(
                (before, after, status, piece, copied) =>
                {
                    var mark = new EndMark();
                    // A beginning of the mark is output like any other.
                    var output = new string('x', before) + mark.Text[..copied];
                    var late = new string('y', after);
                    var said = new StringBuilder();
                    foreach (var bytes in Encoding.UTF8.GetBytes($"{output}{mark.Text}{status:000}{late}").Chunk(piece))
                        mark.Append(bytes, taken => said.Append(Encoding.UTF8.GetString(taken)));
                    mark.Complete(taken => said.Append(Encoding.UTF8.GetString(taken)));
                    return said.ToString() == output + late && mark.IsFound && mark.Status == status;
                }
            );

    [Fact]
    public void Is_not_found_where_it_did_not_come()
    {
        var mark = new EndMark();
        var said = new StringBuilder();
        foreach (var text in (string[])["out", mark.Text[..^1], new EndMark().Text + "000", mark.Text + "0"])
            mark.Append(Encoding.UTF8.GetBytes(text), taken => said.Append(Encoding.UTF8.GetString(taken)));
        mark.IsFound.ShouldBeFalse();
        mark.Complete(taken => said.Append(Encoding.UTF8.GetString(taken)));
        said.ToString().ShouldStartWith("out\u0001codo-end ");
        said.ToString().ShouldEndWith(mark.Text + "0");
    }

    [Theory]
    [InlineData("256")]
    [InlineData("1x3")]
    [InlineData("\0\0\0")]
    public void Knows_no_status_that_is_none(string status)
    {
        var mark = new EndMark();
        mark.Append(Encoding.UTF8.GetBytes(mark.Text + status), _ => { });
        (mark.IsFound, mark.Status).ShouldBe((true, null));
    }
}
