"""Keys as plain terminals send them."""

from __future__ import annotations

import pytest
from textual._xterm_parser import XTermParser
from textual.events import Key

from aiplat.tui.terminal_keys import mend, untyped


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
