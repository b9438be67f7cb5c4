"""The line below an answer: who gave it, how fast, how much, and how it ended. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len

from aiplat.domain.conversations import AnswerFacts
from aiplat.tui.markdown.lines import Line, Span
from aiplat.tui.text import cut, flat, short_peer, span, speed

_BETWEEN = " · "
_ENDS = {
    "stop": "done",
    "length": "cut at the length",
    "cancelled": "stopped",
    "tool_calls": "done",
}


def who(peer: str, own: str) -> str:
    """A peer for a person: this node by that name."""
    return "this node" if peer == own and peer else short_peer(peer)


def ending(facts: AnswerFacts) -> str:
    """How it ended, in few words."""
    if facts.state == "failed":
        return "failed"
    if facts.state == "stopped":
        return "stopped"
    return _ENDS.get(facts.reason, "done")


def facts_lines(facts: AnswerFacts, own: str, cells: int) -> list[Line]:
    """All of it in one line, or where that is too narrow in as few as can be.

    Arguments:
        facts: of an answer that has ended.
        own: this node's peer id.
        cells: of the screen.
    """
    lines: list[list[Span]] = []
    room = 0
    for text, style in _parts(facts, own):
        shown = cut(text, cells)
        needed = cell_len(shown)
        if lines and needed + len(_BETWEEN) <= room:
            lines[-1].append((_BETWEEN, "muted"))
            room -= len(_BETWEEN)
        else:
            lines.append([])
            room = cells
        lines[-1].append((shown, style))
        room -= needed
    return [tuple(line) for line in lines]


def _parts(facts: AnswerFacts, own: str) -> Iterator[Span]:
    if facts.model:
        yield flat(facts.model), "muted"
    if facts.processor:
        yield who(facts.processor, own), "muted"
    if facts.first_token_ms:
        yield f"TTFT {span(facts.first_token_ms / 1000)}", "muted"
    if facts.tokens_per_second:
        yield f"{speed(facts.tokens_per_second)} tok/s", "muted"
    if facts.prompt_tokens or facts.completion_tokens:
        about = "" if facts.exact else "~"
        yield f"{about}{facts.prompt_tokens} in, {about}{facts.completion_tokens} out", "muted"
    if facts.total_ms:
        yield span(facts.total_ms / 1000), "muted"
    end = ending(facts)
    style = "error" if end == "failed" else "warning" if end != "done" else "good"
    sign = {"failed": "✕", "stopped": "■", "cut at the length": "▲"}.get(end, "✓")
    yield f"{sign} {end}", style
