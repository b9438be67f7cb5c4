"""An answer's text as its tokens come: whole characters, stop strings, the end token. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiplat.domain.answers import CallPiece
from aiplat.engine.stops import StopFilter

_UNFINISHED = "\ufffd"
_MOST_HELD = 16  # tokens; a character has at most 4 bytes, a joined one is several characters


class Speech:
    """A `Voice` over any tokenizer that decodes lists of tokens.

    Tokens may hold parts of characters, and a token's text may depend on the one before it
    (spaces), so a window of the last tokens is decoded again with each.

    Arguments:
        decode: text of tokens, bytes that make no character as U+FFFD.
        ends: tokens that end an answer; they have no text.
        stops: stop strings.
    """

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        ends: frozenset[int],
        stops: tuple[str, ...] = (),
    ) -> None:
        self._decode = decode
        self._ends = ends
        self._stop = StopFilter(stops)
        self._window: list[int] = []
        self._known = 0  # tokens of the window whose text was given
        self._known_text = ""
        self.ended = False
        self.called = False

    @property
    def stop(self) -> str:
        """The stop string that ended the answer (`Voice`)."""
        return self._stop.found

    def take_calls(self) -> tuple[CallPiece, ...]:
        """None: it is text (`Voice`)."""
        return ()

    def say(self, token: int) -> str:
        """Take the next token (`Voice`)."""
        if self.ended or token in self._ends:
            self.ended = True
            return ""
        self._window.append(token)
        text = self._decode(self._window)
        held = len(self._window) - self._known
        if held < _MOST_HELD and (text.endswith(_UNFINISHED) or text == self._known_text):
            return ""
        new = text[len(self._known_text) :]
        self._window = self._window[self._known :]
        self._known = len(self._window)
        self._known_text = self._decode(self._window)
        return self._pass(new)

    def flush(self) -> str:
        """Give what was held back (`Voice`); half a character is dropped."""
        rest = self._decode(self._window)[len(self._known_text) :].rstrip(_UNFINISHED)
        self._window, self._known, self._known_text = [], 0, ""
        return self._pass(rest) + self._stop.flush()

    def is_end(self, token: int) -> bool:
        """Whether the token ends an answer (`Voice`)."""
        return token in self._ends

    def _pass(self, text: str) -> str:
        text = self._stop.push(text)
        self.ended = self.ended or self._stop.stopped
        return text
