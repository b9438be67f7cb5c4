"""A conversation as a text to keep: Markdown for people, JSON for programs. Pure.

What a model or a person wrote is Markdown itself, and stays so where it leaves nothing open that
would swallow what follows; else it stands whole in a fence that it cannot close (CommonMark 0.31,
4.5 and 4.6).
"""

from __future__ import annotations

import re

import msgspec

from aiplat.domain.conversations import (
    AnswerFacts,
    Conversation,
    Turn,
    branches_of,
    fenced,
    path_of,
)

_FENCE = re.compile(r"(`{3,}|~{3,})(.*)")
_FENCE_IN_BLOCK = re.compile(r"(?:[>*+-]|\d{1,9}[.)]).*(?:```|~~~)")
"""Behind the mark of a list or a quotation."""
_HTML = re.compile(
    r"<(?:script|pre|style|textarea)\b|<!|<\?|^[\s>*+\-\d.)]*</?[a-z]", re.IGNORECASE
)
"""What may begin a block in which fences and headings are none."""
_UNFINISHED = {
    "stopped": "stopped by a person",
    "failed": "failed",
    "running": "still under way",
}


def as_markdown(conversation: Conversation, whole: bool = False) -> str:
    """Write a conversation as Markdown: a heading for each turn, figures under each answer.

    Arguments:
        conversation: with its turns.
        whole: all turns in the order in which they were made, and not only the path that is shown.
    """
    parts = [f"# {_line(conversation.title) or 'Conversation'}"]
    if conversation.created:
        parts.append(f"_{utc(conversation.created)}, {_line(conversation.id)}_")
    if conversation.settings.system:
        parts += ["## System", _enclosed(conversation.settings.system)]
    for turn in conversation.turns if whole else path_of(conversation):
        parts.append(_heading(conversation, turn, whole=whole))
        parts += [_enclosed(turn.text)] if turn.text.strip() else []
        parts += [f"{_code(file.name)}:\n\n{fenced(file.text)}" for file in turn.files]
        parts += [f"_{line}_"] if turn.facts and (line := figures(turn.facts)) else []
    return "\n\n".join(parts) + "\n"


def as_json(conversation: Conversation) -> str:
    """Write a conversation as JSON, with all its turns and all that is known of them."""
    data = msgspec.json.encode(msgspec.to_builtins(conversation))
    return msgspec.json.format(data, indent=2).decode() + "\n"


def figures(facts: AnswerFacts) -> str:
    """Write what is known of an answer in one line, such as ``tiny · 12 tokens · 0.8 s``."""
    said: list[str] = []
    if facts.model:
        said.append(_code(facts.model))
    if facts.processor:
        said.append(f"by …{_code(facts.processor[-8:])}")
    if facts.first_token_ms:
        said.append(f"first token {facts.first_token_ms:.0f} ms")
    if facts.tokens_per_second:
        said.append(f"{facts.tokens_per_second:.1f} tok/s")
    if facts.prompt_tokens or facts.completion_tokens:
        about = "" if facts.exact else "about "
        said.append(f"{about}{facts.prompt_tokens} tokens in, {facts.completion_tokens} out")
    if facts.total_ms:
        said.append(f"{facts.total_ms / 1000:.1f} s")
    if facts.state == "done":
        said.append(facts.reason or "done")
    else:
        why = f": {_code(facts.error)}" if facts.error else ""
        said.append(f"{_UNFINISHED[facts.state]}{why}")
    return " · ".join(said)


def utc(seconds: int) -> str:
    """Write seconds since 1970 as date and time in UTC, without a clock or a zone's table.

    The days are counted from 1 March of the year 0, in eras of 400 years (H. Hinnant,
    "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
    """
    days, rest = divmod(seconds, 86_400)
    era, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    date = day - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year += 400 * era + (month <= 2)
    return f"{year:04d}-{month:02d}-{date:02d} {rest // 3600:02d}:{rest % 3600 // 60:02d} UTC"


def _heading(conversation: Conversation, turn: Turn, *, whole: bool) -> str:
    who = "Question" if turn.role == "user" else "Answer"
    branches = branches_of(conversation, turn)
    if len(branches) < 2:
        return f"## {who}"
    place = 1 + next(n for n, other in enumerate(branches) if other.id == turn.id)
    return (
        f"## {who} ({place} of {len(branches)}{', another branch' if whole and place > 1 else ''})"
    )


def _enclosed(text: str) -> str:
    """Give it as it is, or in a fence where it would swallow what comes behind it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    return text if _leaves_nothing_open(text) else fenced(text)


def _leaves_nothing_open(text: str) -> bool:
    """Whether each fence is closed just as it was opened, and no HTML is begun outside of them.

    It is strict rather than exact: what could be read in two ways counts as open.
    """
    opened: tuple[str, str] | None = None
    for line in text.split("\n"):
        indent, rest = _parted(line)
        found = _FENCE.match(rest)
        if opened is None:
            if found is None:
                if _HTML.search(line) or _FENCE_IN_BLOCK.match(rest):
                    return False
            elif "`" in found[2]:
                return False
            else:
                opened = (indent, found[1])
        elif found is not None and found[1].startswith(opened[1]) and not found[2].strip():
            if indent != opened[0]:
                return False
            opened = None
        elif line.strip() and not line.startswith(opened[0]):
            return False  # it leaves the list that the fence is in
    return opened is None


def _parted(line: str) -> tuple[str, str]:
    rest = line.lstrip(" \t")
    return line[: len(line) - len(rest)], rest


def _line(text: str) -> str:
    """Put a text of a person's into one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _code(text: str) -> str:
    """Put a text of a stranger's into a line, without what Markdown would read."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", _line(text))
