"""Questions to `usage` where there are millions of events: the whole answer, as a face gets it.

Each is asked of the accounts themselves, as the node's control socket does: a connection of its own
in a thread, the sums, what was not folded yet, the names. They take turns in each round. Beside
them stands what it would take without sums: the days of everyone, from the events themselves.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import trio

from aiplat.accounts import database, usage
from aiplat.accounts.accounts import Accounts
from aiplat.control.accounts import UsageAsk, UsageBy, UsageReply
from bench.accounts.events import Filling
from bench.accounts.people import accounts_in, places_in

DAYS = (30, 7)
_FROM_EVENTS = (
    f"SELECT at / 1000 / {usage.DAY}, count(*), sum(outcome NOT IN {usage.GOOD}), sum(prompt), "
    "sum(cached), sum(completion) FROM events WHERE at >= ? GROUP BY 1"
)


def measure(folder: Path, filling: Filling, rounds: int) -> dict[str, Any]:
    """Ask a store that was filled.

    Returns:
        Milliseconds of each question in each round, by what was asked, for whom and how many days;
        `open_s`, what opening the accounts takes; `from_events_ms`.
    """
    began = time.perf_counter()
    accounts = accounts_in(folder, lambda: filling.until)
    accounts.open()
    opened = time.perf_counter() - began
    found: dict[str, list[float]] = {}
    trio.run(_ask_all, accounts, filling, rounds, found)
    with contextlib.closing(database.connect(places_in(folder).database, read_only=True)) as one:
        began = time.perf_counter()
        since = round(filling.until - DAYS[0] * usage.DAY) // usage.DAY * usage.DAY
        one.execute(_FROM_EVENTS, (since * 1000,)).fetchall()
        from_events = (time.perf_counter() - began) * 1000
    return {"rows": found, "open_s": opened, "from_events_ms": from_events}


async def _ask_all(
    accounts: Accounts, filling: Filling, rounds: int, found: dict[str, list[float]]
) -> None:
    for _ in range(rounds):
        for name, wish in questions(filling):
            began = time.perf_counter()
            told = await accounts.answer("usage", wish, "", None)
            found.setdefault(name, []).append((time.perf_counter() - began) * 1000)
            if not (isinstance(told, UsageReply) and told.rows):
                raise SystemExit(f"usage had no answer to {name}")


def questions(filling: Filling) -> Iterator[tuple[str, UsageAsk]]:
    """Each with its name: by what, for whom, of how many days."""
    for by in get_args(UsageBy):
        for days in DAYS:
            since = days * usage.DAY
            yield f"{by}.everyone.{days}", UsageAsk(by=by, since_seconds=since, everyone=True)
            for who, user in (("busiest", filling.busiest), ("ordinary", filling.ordinary)):
                yield f"{by}.{who}.{days}", UsageAsk(by=by, since_seconds=since, user=user)
