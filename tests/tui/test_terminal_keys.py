"""Keys as plain terminals send them."""

from __future__ import annotations

import pytest
from textual._xterm_parser import XTermParser
from textual.events import Key, Paste

from aiplat.tui.terminal_keys import PasteParser, mend, untyped


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("\x1b1", "alt+1"), ("\x1b5", "alt+5"), ("\x1b\r", "alt+enter"), ("\x1bc", "alt+c"),
        ("\x1b[1;3A", "alt+up"), ("\x1bOP", "f1"), ("\n", "ctrl+j"), ("\r", "enter"),
        ("¡", "inverted_exclamation_mark"), ("\x0e", "ctrl+n"), ("\x0f", "ctrl+o"),
    ],
)  # fmt: skip
def test_what_is_sent_is_read(sent: str, key: str) -> None:
    mend()
    parser = XTermParser()
    events = [*parser.feed(sent), *parser.tick(), *parser.feed("")]
    keys = [event for event in events if isinstance(event, Key)]
    assert [event.key for event in keys] == [key]
    assert untyped(keys[0]).is_printable == (sent == "¡")


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    ("sent", "pasted"),
    [
        ("plain\nlines", "plain\nlines"),
        ("AAA \x1b[31mRED\x1b[0m BBB\nline2 CCC", "AAA [31mRED[0m BBB\nline2 CCC"),
        ("\x1b]0;t\x07 \x1b[200~ \x07 ends in \x1b", "]0;t\x07 [200~ \x07 ends in "),
        ("nearly \x1b[201 the end", "nearly [201 the end"),
    ],
)
def test_what_is_pasted_is_one_paste_whatever_is_in_it(sent: str, pasted: str, size: int) -> None:
    parser = PasteParser()
    data = f"\x1b[200~{sent}\x1b[201~"
    events = [e for i in range(0, len(data), size) for e in parser.feed(data[i : i + size])]
    events += parser.feed("z")
    assert [e.text for e in events if isinstance(e, Paste)] == [pasted]
    assert [e.key for e in events if isinstance(e, Key)] == ["z"]


def test_bytes_that_are_no_text_end_nothing() -> None:
    mend()
    from textual.drivers import linux_driver

    names = vars(linux_driver)
    decode = names["getincrementaldecoder"]("utf-8")().decode
    assert decode(b"a\x9bb\xe6") + decode(b"\xbc\xa2") == "a\ufffdb漢"
    assert names["XTermParser"] is PasteParser
