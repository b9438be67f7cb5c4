"""Why a request went where it went, in words. Pure."""

from __future__ import annotations

from aiplat.control.messages import Choice, Explanation, Weighed
from aiplat.tui.chat.facts import who
from aiplat.tui.text import amount, flat, span


def why_text(told: Explanation, own: str) -> str:
    """What a gateway tells of its choices, line by line."""
    readers = READERS.get(told.privacy, told.privacy)
    lines = [
        f"Model {flat(told.model) or 'any'} · gateway {who(told.gateway, own)}",
        f"May be read by {readers}.",
    ]
    for number, choice in enumerate(told.choices, 1):
        lines += ["", *_choice(number, choice, own)]
    if not told.choices:
        lines += ["", "It chose nobody yet."]
    if told.outcome:
        lines += ["", f"In the end: {flat(told.outcome)}"]
    return "\n".join(lines)


READERS = {
    "any": "anyone who answers it, also servers of others",
    "network": "members of your network alone",
    "machine": "this machine alone",
}


def _choice(number: int, choice: Choice, own: str) -> list[str]:
    taken = who(choice.processor, own) if choice.processor else "nobody"
    lines = [f"{number}. After {span(choice.after)}: {taken}. {flat(choice.reason)}".rstrip()]
    lines += [_weighed(weighed, own) for weighed in choice.weighed]
    if choice.outcome:
        lines.append(f"   → {flat(choice.outcome)}")
    return lines


def _weighed(weighed: Weighed, own: str) -> str:
    mark = "●" if weighed.chosen else "○"
    if weighed.refused:
        return f"   {mark} {who(weighed.processor, own)}: not taken, {flat(weighed.refused)}"
    speed = f", {amount(weighed.tokens_per_second)} tok/s" if weighed.tokens_per_second else ""
    return (
        f"   {mark} {who(weighed.processor, own)}: expected wait {span(weighed.expected_wait)}, "
        f"{weighed.load} of {weighed.slots} slots{speed}, round trip {span(weighed.latency)}"
    )
