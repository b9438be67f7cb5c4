"""Finds calls of tools in a model's text, however it is cut into pieces. Pure."""

from __future__ import annotations

import re

from aiplat.engine.calling.bodies import Call, Schemas, Unread, read_calls
from aiplat.engine.calling.formats import Format

_MOST_TRIES = 64
"""Marks that are tried as a call's end; a call whose text holds more of them is text."""
_BARE = re.compile(r'\s*\{\s*(?:"([^"\\]*)("?))?')
_KEYS = ("name", "type", "function", "parameters", "arguments")


class Finder:
    """Lets text through, and takes calls out of it.

    What may be the beginning of a mark is held back, and so is a call until it is whole; what
    turns out to be none is given as text. Space around a call is its form's, and is no text.

    Arguments:
        form: how the model writes calls.
        tools: those that may be called.
    """

    def __init__(self, form: Format, tools: Schemas) -> None:
        self._form = form
        self._tools = tools
        self._held = ""
        self._inside = False
        self._bare = form.bare
        self._mark = self._space = ""
        self._looked = self._tries = 0
        self._found: list[Call] = []
        self.count = 0
        """Calls so far."""

    def take(self) -> list[Call]:
        """The calls that became whole since the last time."""
        found, self._found = self._found, []
        return found

    def push(self, text: str) -> str:
        """Take the next piece; give what is certain to be text."""
        self._held += text
        return self._go_on(last=False)

    def flush(self) -> str:
        """The end: what was held back is a call now, or text."""
        return self._go_on(last=True)

    def _go_on(self, *, last: bool) -> str:
        said = ""
        while True:
            before = len(self._held), self._inside, self._bare
            said += self._within(last=last) if self._inside else self._outside(last=last)
            if (len(self._held), self._inside, self._bare) == before:
                return said

    # -- outside of calls ------------------------------------------------------------------------

    def _outside(self, *, last: bool) -> str:
        if self._bare:
            return self._beginning(last=last)
        at = self._held.find(self._form.begin)
        if at >= 0:
            return self._enter(at, self._form.begin)
        keep = 0 if last else self._undecided()
        text, self._held = self._split(len(self._held) - keep)
        return text + self._rest() if last else text

    def _rest(self) -> str:
        """What is left when nothing follows any more: space, which is text unless calls were."""
        rest, self._held = self._held, ""
        return "" if self.count else rest

    def _split(self, end: int) -> tuple[str, str]:
        """What is said of the text up to `end`, and what is held: space may belong to a call."""
        text = self._held[:end].rstrip()
        return text, self._held[len(text) :]

    def _enter(self, at: int, mark: str) -> str:
        text = self._held[:at].rstrip()
        self._space = self._held[len(text) : at]
        self._held = self._held[at + len(mark) :]
        self._inside, self._mark, self._looked, self._tries = True, mark, 0, 0
        return text

    def _undecided(self) -> int:
        """How many characters at the end may be the beginning of a mark."""
        mark = self._form.begin
        for length in range(min(len(self._held), len(mark) - 1), 0, -1):
            if self._held.endswith(mark[:length]):
                return length
        return 0

    def _beginning(self, *, last: bool) -> str:
        """The beginning of an answer that may be a call without a mark."""
        text = self._held.lstrip()
        if not text and not last:
            return ""
        self._bare = False
        if text[:1] != "{":
            return ""
        found = _BARE.match(text)
        key = (found[1] or "") if found else ""
        closed = bool(found and found[2])
        rest = text[found.end() :] if found else text
        fits = key in _KEYS if closed else any(one.startswith(key) for one in _KEYS) and not rest
        if fits and not (closed or last):
            self._bare = True  # as yet
        elif fits:
            self._enter(0, "")
        return ""

    # -- within a call ---------------------------------------------------------------------------

    def _within(self, *, last: bool) -> str:
        form, end = self._form, self._form.end or self._form.begin
        while self._tries < _MOST_TRIES and (at := self._held.find(end, self._looked)) >= 0:
            self._looked, self._tries = at + len(end), self._tries + 1
            if self._is_call(at):
                self._held = self._held[at + len(form.end) :]
                return ""
        self._looked = max(self._looked, len(self._held) - len(end) + 1, 0)
        if self._tries >= _MOST_TRIES:
            return self._give_up()
        if not last:
            return ""
        if self._is_call(len(self._held)):
            self._held = ""
            return ""
        return self._give_up()

    def _is_call(self, end: int) -> bool:
        try:
            calls = read_calls(self._held[:end], self._form, self._tools)
        except Unread:
            return False
        self._found += calls
        self.count += len(calls)
        self._inside = False
        return True

    def _give_up(self) -> str:
        """It is no call: its mark is text, and what follows is looked at anew."""
        self._inside = False
        return self._space + self._mark
