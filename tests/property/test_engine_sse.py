"""Server-sent events come out the same however their bytes were cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.engine.backends.upstream.sse import EventStream, Oversized

ENDS = ("\n", "\r\n", "\r")
TEXT = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=12)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream with one kind of line ends, and the data of its events."""
    end = draw(st.sampled_from(ENDS))
    written, expected = draw(st.sampled_from(["", "\ufeff"])), []
    for lines in draw(st.lists(st.lists(TEXT, max_size=3), max_size=5)):
        read = []
        for line in lines:
            space = draw(st.sampled_from(["", " "]))
            written += draw(st.sampled_from(["", f": a comment{end}", f"id: 7{end}"]))
            written += f"data:{space}{line}{end}"
            read.append(line if space else line.removeprefix(" "))
        written += end
        if lines:
            expected.append("\n".join(read).encode())
    return written.encode(), expected


@given(streams(), st.data())
def test_cut_anywhere(stream: tuple[bytes, list[bytes]], data: st.DataObject) -> None:
    written, expected = stream
    everywhere = set(range(len(written)))
    cuts = sorted(
        data.draw(st.sets(st.integers(0, len(written)), max_size=20) | st.just(everywhere))
    )
    reader, found = EventStream(), []
    for start, stop in zip([0, *cuts], [*cuts, len(written)], strict=True):
        found += list(reader.feed(written[start:stop]))
    assert found == expected
    assert reader.close() is None


@given(st.binary(max_size=200))
def test_any_bytes_are_read(junk: bytes) -> None:
    reader = EventStream(max_line=50, max_event=50)
    try:
        for place in range(len(junk)):
            list(reader.feed(junk[place : place + 1]))
        reader.close()
    except Oversized as told:
        assert "50 bytes" in str(told)  # noqa: PT017 - most examples raise nothing


def test_what_never_ends_is_refused() -> None:
    with pytest.raises(Oversized, match="a line of more than 10 bytes"):
        list(EventStream(max_line=10).feed(b"data: " + b"x" * 10))
    reader = EventStream(max_line=10, max_event=10)
    assert list(reader.feed(b"data: four\ndata: four\n")) == []
    with pytest.raises(Oversized, match="an event"):
        list(reader.feed(b"data: four\n"))


def test_a_line_end_cut_in_two_is_one() -> None:
    reader, found = EventStream(), []
    for byte in b"data: a\r\ndata: b\r\n\r\n":
        found += list(reader.feed(bytes([byte])))
    assert found == [b"a\nb"]
