"""The line below an answer: who gave it, how fast, how much, and how it ended. Pure."""

from __future__ import annotations

from aiplat.domain.conversations import AnswerFacts
from aiplat.tui.markdown.lines import Line
from aiplat.tui.text import cut, flat, short_peer, span

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


def facts_line(facts: AnswerFacts, own: str, cells: int) -> Line:
    """The line, with as much as there is room for: what matters least goes first.

    Arguments:
        facts: of an answer that has ended.
        own: this node's peer id.
        cells: of the screen.
    """
    parts: list[tuple[int, str, str]] = []  # what matters more has the lower number
    if facts.model:
        parts.append((3, flat(facts.model), "muted"))
    if facts.processor:
        parts.append((2, who(facts.processor, own), "muted"))
    if facts.first_token_ms:
        parts.append((5, f"TTFT {span(facts.first_token_ms / 1000)}", "muted"))
    if facts.tokens_per_second:
        parts.append((1, f"{facts.tokens_per_second:.1f} tok/s", "muted"))
    if facts.prompt_tokens or facts.completion_tokens:
        about = "" if facts.exact else "~"
        counted = f"{about}{facts.prompt_tokens} in, {about}{facts.completion_tokens} out"
        parts.append((4, counted, "muted"))
    if facts.total_ms:
        parts.append((6, span(facts.total_ms / 1000), "muted"))
    end = ending(facts)
    style = "error" if end == "failed" else "warning" if end != "done" else "good"
    sign = {"failed": "✕", "stopped": "■", "cut at the length": "▲"}.get(end, "✓")
    parts.append((0, f"{sign} {end}", style))
    while len(parts) > 1 and _length(parts) > cells:
        parts.remove(max(parts))
    line: list[tuple[str, str]] = []
    for number, (_, text, look) in enumerate(parts):
        if number:
            line.append((_BETWEEN, "muted"))
        line.append((cut(text, cells), look))
    return tuple(line)


def _length(parts: list[tuple[int, str, str]]) -> int:
    from rich.cells import cell_len

    return sum(cell_len(text) for _, text, _ in parts) + len(_BETWEEN) * (len(parts) - 1)
