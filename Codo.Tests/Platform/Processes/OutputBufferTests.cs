using System.Text;
using Codo.Platform.Processes;
using CsCheck;

namespace Codo.Tests.Platform.Processes;

public sealed class OutputBufferTests
{
    [Fact]
    public void Keeps_all_of_a_short_output()
    {
        var buffer = Filled(10, "0123456789");
        buffer.ToString().ShouldBe("0123456789");
        buffer.Missing.ShouldBe(0);
    }

    [Fact]
    public void Keeps_head_and_tail_of_a_long_one_and_says_what_is_missing()
    {
        var buffer = Filled(10, "0123456789ab");
        buffer.ToString().ShouldBe("01234\n… 2 bytes missing / 缺少 2 字节 …\n789ab");
        buffer.Missing.ShouldBe(2);
    }

    [Fact]
    public void Cuts_between_characters()
    {
        // Three bytes each: the head of 5 holds one and two thirds, the tail of 5 two thirds and one.
        Filled(10, "一二三四五六").ToString().ShouldBe("一\n… 12 bytes missing / 缺少 12 字节 …\n六");
    }

    [Fact]
    public void Shows_what_is_no_text()
    {
        var buffer = new OutputBuffer(100);
        buffer.Append([(byte)'a', 0xFF, 0, 0xC3, 0xA9, 0xF0, 0x9F]);
        buffer.ToString().ShouldBe("a\uFFFD␀é\uFFFD");
    }

    [Fact]
    public void Leaves_a_character_whose_rest_is_to_come_for_the_next_time()
    {
        var smile = Encoding.UTF8.GetBytes("🙂");
        var buffer = new OutputBuffer(100);
        buffer.Append([(byte)'a', .. smile[..3]]);
        buffer.Since(0).ShouldBe(new OutputPart(0, "a", 1));
        buffer.Since(1).ShouldBe(new OutputPart(0, "", 1));
        buffer.Since(1, ended: true).ShouldBe(new OutputPart(0, "\uFFFD", 4));
        buffer.Append(smile.AsSpan(3));
        buffer.Since(1).ShouldBe(new OutputPart(0, "🙂", 5));
        buffer.Since(5).ShouldBe(new OutputPart(0, "", 5));
    }

    [Fact]
    public void Tells_a_reader_who_fell_behind_how_much_he_missed()
    {
        var buffer = Filled(10, "0123456789abcdef");
        buffer.Since(2).ShouldBe(new OutputPart(0, "234", 5));
        buffer.Since(5).ShouldBe(new OutputPart(6, "bcdef", 16));
        buffer.Since(13).ShouldBe(new OutputPart(0, "def", 16));
        buffer.Since(0, most: 4).ShouldBe(new OutputPart(0, "0123", 4));
    }

    [Fact]
    public void Takes_no_memory_for_output_that_has_not_come()
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        Filled(64 * 1024 * 1024, "short");
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(64 * 1024);
    }

    [Fact]
    public void Holds_the_right_bytes_whatever_the_pieces() =>
        Gen.Select(Gen.Int[2, 64], Gen.Byte[32, 126].Array[0, 40].Array[0, 12]).Sample((limit, pieces) =>
        {
            var buffer = new OutputBuffer(limit);
            foreach (var piece in pieces) buffer.Append(piece);
            var all = Encoding.ASCII.GetString([.. pieces.SelectMany(piece => piece)]);
            var expected = all.Length <= limit
                ? all
                : $"{all[..(limit / 2)]}\n{OutputBuffer.Gap(all.Length - limit)}\n{all[^(limit - (limit / 2))..]}";
            return buffer.ToString() == expected && buffer.Total == all.Length && buffer.Missing == Math.Max(0, all.Length - limit);
        });

    [Fact]
    public void Gives_a_reader_who_follows_the_whole_output() =>
        Gen.Select(Gen.Int[200, 400], Gen.Int[0, 3].Select(i => "a你é\n"[i].ToString()).Array[0, 200], Gen.Int[4, 50]).Sample((limit, pieces, most) =>
        {
            var buffer = new OutputBuffer(limit * 10);
            var read = new StringBuilder();
            var offset = 0L;
            foreach (var bytes in pieces.SelectMany(piece => Encoding.UTF8.GetBytes(piece)).Chunk(7))
            {
                buffer.Append(bytes);
                var part = buffer.Since(offset, most: most);
                read.Append(part.Text);
                offset = part.Next;
            }

            for (var part = buffer.Since(offset, ended: true); part.Text.Length > 0; part = buffer.Since(part.Next, ended: true)) read.Append(part.Text);
            return read.ToString() == string.Concat(pieces);
        });

    [Fact]
    public void Tells_as_missing_what_lay_in_a_file_that_can_grow_no_more()
    {
        const int head = 100 * 1024;
        using var buffer = new OutputBuffer(2 * head);
        for (var i = 0; i < 30; i++) buffer.Append(Enumerable.Repeat((byte)('a' + (i / 10)), 10 * 1024).ToArray());
        buffer.BeforeWrite = () => throw new IOException("No space left on device");
        buffer.Append(Enumerable.Repeat((byte)'z', 1024).ToArray());
        buffer.ToString().ShouldBe($"{new string('a', head)}\n{OutputBuffer.Gap(2 * head)}\n{new string('z', 1024)}");
        buffer.Missing.ShouldBe(2 * head);
        buffer.Since(250 * 1024).ShouldBe(new OutputPart(50 * 1024, new string('z', 1024), 301 * 1024));
        // The newest is kept in memory.
        for (var i = 0; i < 40; i++) buffer.Append(Enumerable.Repeat((byte)'y', 1024).ToArray());
        buffer.ToString().ShouldBe($"{new string('a', head)}\n{OutputBuffer.Gap((2 * head) + (9 * 1024))}\n{new string('y', 32 * 1024)}");
    }

    [Fact]
    public void Keeps_what_came_before_the_disk_was_full()
    {
        using var buffer = new OutputBuffer(200 * 1024);
        for (var i = 0; i < 15; i++) buffer.Append(Enumerable.Repeat((byte)'a', 10 * 1024).ToArray());
        buffer.BeforeWrite = () => throw new IOException("No space left on device");
        buffer.Append(Enumerable.Repeat((byte)'z', 1024).ToArray());
        buffer.ToString().ShouldBe(new string('a', 150 * 1024) + new string('z', 1024));
    }

    private static OutputBuffer Filled(int limit, string text)
    {
        var buffer = new OutputBuffer(limit);
        buffer.Append(Encoding.UTF8.GetBytes(text));
        return buffer;
    }
}
