"""Colours code by Pygments, in lines; code that still streams in is coloured as it comes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from aiplat.tui.markdown.lines import Line, Span

if TYPE_CHECKING:
    from pygments.lexer import Lexer

MAX_COLOURED = 60_000
"""Characters of one block; longer ones are shown without colour."""

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


def coloured(code: str, language: str) -> list[Line]:
    """Break code into lines, each of spans by what its tokens are.

    Arguments:
        code: without a line feed at its end.
        language: what stands behind the fence; an unknown one is plain text.
    """
    lexer = _lexer(language.strip().split(" ")[0].lower())
    if lexer is None or len(code) > MAX_COLOURED:
        return [((line, "code"),) for line in code.split("\n")]
    lines: list[Line] = []
    line: list[Span] = []
    for kind, text in lexer.get_tokens(code):
        style = _style(str(kind))
        for number, part in enumerate(text.split("\n")):
            if number:
                lines.append(tuple(line))
                line = []
            if part:
                line.append((part, style))
    if line:
        lines.append(tuple(line))
    wanted = code.count("\n") + 1  # a lexer may add a line feed, or take some away
    return (lines + [()] * wanted)[:wanted]


@lru_cache(maxsize=256)
def _style(kind: str) -> str:
    name = kind.removeprefix("Token.")
    while name:
        if name in _KINDS:
            return f"code.{_KINDS[name]}"
        name = name.rpartition(".")[0]
    return "code"


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    if not language or len(language) > 40:
        return None
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None
