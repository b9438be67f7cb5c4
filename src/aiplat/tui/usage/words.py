"""What the pane says in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from aiplat.control.accounts import UsageReply
from aiplat.control.series import SeriesRow
from aiplat.domain.errors import AiplatError, InvalidApiKey
from aiplat.domain.ids import Role
from aiplat.tui.keys.faults import fault_words
from aiplat.tui.preferences import Graphs
from aiplat.tui.text import amount, flat, short_peer
from aiplat.tui.usage.ranges import Range
from aiplat.tui.usage.ticks import day_label

HELP = (
    "What was asked of this node, how fast it was answered, and what may still be asked.\n"
    "r, ← and → choose the time; b what has lines of its own; v whose requests: those through\n"
    "this node as gateway, those asked here, or those answered here.\n"
    "1 m is by the second, as tokens come. Longer times count a request when it ends.\n"
    "Where a column has room for one value of several, it is the greatest. A gap: nothing known.\n"
    "p50 and p95 are estimates, of classes of times each twice as long as the one before.\n"
    "Engines and GPUs are looked at each 15 s; CPU is in percent of one, so more than 100 may be.\n"
    "Limits: ● there is room   ▲ 80 % are used   ✕ used up. Days and months are UTC.\n"
    "○ how far it is used is not told: limits at once, and those of a minute of single keys.\n"
    "n and p walk through the graphs, z or Enter shows one alone, Space holds all still."
)

VIEWS: dict[Role, str] = {
    "gateway": "as gateway", "client": "asked here", "processor": "answered here",
}  # fmt: skip
_SEEN: dict[Role, str] = {
    "gateway": "through this node as gateway", "client": "asked here",
    "processor": "answered here",
}  # fmt: skip
_PENS: dict[Graphs, str] = {
    "auto": "what the terminal takes", "braille": "braille dots", "blocks": "blocks",
    "ascii": "plain ASCII",
}  # fmt: skip


def name_of(by: str, value: str, keys: Mapping[str, str], own: str) -> str:
    """What a person calls a model, a key by its id, a peer, or a day.

    Arguments:
        keys: the keys' names by their ids.
        own: this node's peer id.
    """
    if value == "other":
        return value
    if by == "key":
        return flat(keys.get(value, value)) or "no key"
    if by == "peer":
        return "this node" if value and value == own else short_peer(flat(value)) or "nobody"
    return flat(value) or "no name"


def notes(chosen: Range) -> str:
    """What has to be known of the figures of a time."""
    if chosen.is_by_seconds:
        return "By the second, as tokens come."
    return "Requests count when they end."


def brief(total: SeriesRow) -> str:
    """Totals in one line."""
    errors = f" · ✕ {_many(total.errors, 'error')}" if total.errors else ""
    return (
        f"{_many(total.requests, 'request')}{errors} · {amount(total.prompt_tokens)} tokens in · "
        f"{amount(total.completion_tokens)} out"
    )


def _many(count: int, word: str) -> str:
    return f"{amount(count)} {word}{'' if count == 1 else 's'}"


def when(time: datetime) -> str:
    """A time of another day, too."""
    return f"{day_label(time)} {time:%H:%M}"


def account_fault(fault: AiplatError) -> str:
    """Why the accounts told nothing, and where one mends it."""
    told = fault_words(fault)
    return f"{told} The pane Keys does that." if isinstance(fault, InvalidApiKey) else told


_FIRSTS = " p50 and p95: time to the first token"


def of_accounts(told: UsageReply, since: str, role: Role, *, everyone: bool) -> str:
    """Whose count the table is, and since when.

    Arguments:
        role: the role of this node that saw how long first tokens took.
    """
    whose = "Everyone's" if everyone else "Your"
    left = f" {told.left_out} smaller rows are left out." if told.left_out else ""
    return (
        f"{whose} usage by {told.by} since {since}, as the gateway's accounts count it: "
        f"{amount(told.total.requests)} requests, {amount(told.total.total_tokens)} tokens."
        f"{left}{_FIRSTS} of all {_SEEN[role]}."
    )


def of_series(by: str, chosen: Range, role: Role, trouble: str) -> str:
    """Whose count the table is where accounts do not tell."""
    longer = " in up to two minutes" if chosen.is_by_seconds else ""  # whole minutes alone
    why = f" No accounts: {flat(trouble)}" if trouble else ""
    return (
        f"Requests {_SEEN[role]} by {by}, in the last {chosen.words}, as this node has them."
        f"{why}{_FIRSTS}{longer}."
    )


def drawn_in(graphs: Graphs, pen: str) -> str:
    """What graphs are drawn with from now on."""
    return f"Graphs are drawn in {_PENS[graphs]}" + (f" ({pen})." if graphs == "auto" else ".")
