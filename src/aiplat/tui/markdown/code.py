"""Colours code by Pygments, in lines, as long as there is time for it.

The language and the code are a model's: no lexer is asked that is not known to be quick, and one
that takes longer than its time is left where it is. What has no colour is still all there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import lru_cache

from aiplat.tui.markdown.languages import MAX_COLOURED, lexer_of
from aiplat.tui.markdown.lines import Line, Span

BLOCK_SECONDS = 0.05
"""What the colours of one block may take; a token that is begun may take a little longer."""
TEXT_SECONDS = 0.25
"""What the colours of all blocks of one text may take, so that many do not take what one may."""

_KINDS = {
    "Keyword": "keyword",
    "Name.Function": "function",
    "Name.Class": "function",
    "Name.Decorator": "function",
    "Name.Builtin": "builtin",
    "Name.Tag": "keyword",
    "Name.Attribute": "function",
    "Literal.String": "string",
    "Literal.Number": "number",
    "Comment": "comment",
    "Operator.Word": "keyword",
    "Generic.Deleted": "deleted",
    "Generic.Inserted": "inserted",
    "Generic.Heading": "function",
}


class Budget:
    """The time that colours may take.

    Arguments:
        seconds: of all blocks together; one of them has at most `BLOCK_SECONDS`.
        clock: tells seconds. It is this thread's own time, so that a busy machine does not take
            the colours away.
    """

    def __init__(
        self, seconds: float = TEXT_SECONDS, clock: Callable[[], float] = time.thread_time
    ) -> None:
        self._left = self._all = seconds
        self._clock = clock
        self._width = 0

    def renew(self, width: int) -> None:
        """Give all of it again where another width is drawn: that is all of the text anew."""
        if width != self._width:
            self._width, self._left = width, self._all

    def while_there(self, tokens: Iterator[tuple[object, str]]) -> Iterator[tuple[object, str]]:
        """The tokens of a block up to where its time is spent."""
        begin = self._clock()
        allowed = min(BLOCK_SECONDS, self._left)
        spent = 0.0
        while spent < allowed:
            token = next(tokens, None)
            spent = self._clock() - begin
            if token is None:
                break
            yield token
        self._left -= spent


def coloured(code: str, language: str, budget: Budget | None = None) -> list[Line]:
    """Break code into lines, each of spans by what its tokens are.

    Arguments:
        code: without a line feed at its end.
        language: what stands behind the fence; one that is not known is plain text.
        budget: the time for it; the usual one of a block where there is none.
    """
    lines: list[Line] = []
    line: list[Span] = []
    for text, style in _spans(code, language, budget or Budget()):
        for number, part in enumerate(text.split("\n")):
            if number:
                lines.append(tuple(line))
                line = []
            if part:
                line.append((part, style))
    return [*lines, tuple(line)]


def _spans(code: str, language: str, budget: Budget) -> Iterator[Span]:
    """The tokens with their styles, and in one piece what nobody coloured."""
    lexer = lexer_of(language.strip().split(" ")[0].lower())
    done = 0
    if lexer is not None:
        end = len(code)
        if end > MAX_COLOURED:
            end = code.rfind("\n", 0, MAX_COLOURED) + 1
        for kind, text in budget.while_there(iter(lexer.get_tokens(code[:end]))):
            if not code.startswith(text, done):
                break  # a lexer that takes text away, or adds some: the code itself is right
            yield text, _style(str(kind))
            done += len(text)
    yield code[done:], "code"


@lru_cache(maxsize=256)
def _style(kind: str) -> str:
    name = kind.removeprefix("Token.")
    while name:
        if name in _KINDS:
            return f"code.{_KINDS[name]}"
        name = name.rpartition(".")[0]
    return "code"
