"""A node whose series are made up, always the same, for the tests of the pane Usage."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from aiplat.control.accounts import (
    KeyList,
    KeyStatus,
    UsageAsk,
    UsageReply,
    UsageRow,
    UserStatus,
    WhoAmI,
)
from aiplat.control.calls import Call, Reply
from aiplat.control.series import MachineRow, SeriesAsk, SeriesReply, SeriesRow, Spread
from aiplat.domain.accounts import Limits, RateState
from tests.support.screens import NOW, PEER, ScriptedLink

NAMES = {
    "": ("",), "model": ("smollm2-135m", "qwen3-4b"), "key": ("k1", "", "k2", "k3", "k4"),
    "peer": (PEER, "12D3KooWBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbBbZ9"),
}  # fmt: skip


def wave(at: float, place: int, length: float) -> float:
    """Something between 0 and 1 that goes up and down."""
    turn = 2 * math.pi * (at - NOW) / length
    return (math.sin(turn * (2 + place) + place) + math.sin(turn * 5.3) + 2) / 4


def series(ask: SeriesAsk, *, gpu: bool = True) -> SeriesReply:
    """Requests in every step but some, errors now and then, an engine and a GPU."""
    until = int(NOW) + 1
    length = float(until - ask.since)
    step = ask.step or until - ask.since
    begin = ask.since // step * step if ask.step else ask.since
    rows: list[SeriesRow] = []
    machine: list[MachineRow] = []
    for at in range(begin, until, step):
        high = [wave(at, place, length) for place in range(5)]
        for place, name in enumerate(NAMES[ask.by]):
            if high[0] < 0.15 and ask.step:
                continue
            requests = max(1, round(high[place] * step / 12 / (place + 1)))
            p50 = 0.08 + 0.3 * high[place]
            rows.append(SeriesRow(
                at=at, name=name, requests=requests, errors=int(high[1] > 0.8),
                prompt_tokens=120 * requests, cached_tokens=40 * requests,
                completion_tokens=round(high[place] * 90 * step / (place + 1)),
                first=Spread(mean=p50, p50=p50, p95=p50 * 3, p99=p50 * 4),
                total=Spread(mean=2, p50=2.0, p95=6.5, p99=9.0),
            ))  # fmt: skip
        if step > 1 or at % 15 == 0:
            gib = 1024**3
            machine.append(MachineRow(at=at, part="engine", name="smollm2-135m", busy=2 * high[2],
                                      memory_bytes=round((0.6 + high[2] / 9) * gib)))  # fmt: skip
            if gpu:
                machine.append(MachineRow(at=at, part="gpu", name="0 H100", busy=high[3],
                                          memory_bytes=round(2.2 * gib)))  # fmt: skip
    return SeriesReply(
        since=ask.since, until=until, step=step, rows=tuple(rows), machine=tuple(machine),
        total=SeriesRow(
            at=ask.since, requests=sum(r.requests for r in rows),
            errors=sum(r.errors for r in rows), prompt_tokens=sum(r.prompt_tokens for r in rows),
            cached_tokens=sum(r.cached_tokens for r in rows),
            completion_tokens=sum(r.completion_tokens for r in rows),
            first=Spread(mean=0.2, p50=0.21, p95=0.63, p99=0.9),
            total=Spread(mean=2, p50=2.0, p95=6.5, p99=9.0),
        ),
    )  # fmt: skip


def who(**changes: Any) -> WhoAmI:
    """Ann, with limits of which one is near."""
    user = UserStatus(id="u1", name="ann", limits=Limits(tokens_per_month=1_000_000),
                      used_this_month=412_345, **changes)  # fmt: skip
    rate = RateState(requests_limit=60, requests_remaining=9, requests_reset=42.0,
                     tokens_limit=50_000, tokens_remaining=31_000, tokens_reset=12.0)  # fmt: skip
    return WhoAmI(gateway=PEER, user=user, by="operator", rate=rate)


def keys() -> KeyList:
    """Two keys, one of which used up what it may have."""

    def key(id: str, name: str, used: int, most: int | None) -> KeyStatus:
        return KeyStatus(id=id, name=name, user="ann", scopes=("inference",),
                         limits=Limits(tokens_per_month=most), used_this_month=used)  # fmt: skip

    return KeyList(keys=(key("k1", "laptop", 100_000, 100_000), key("k2", "[b]ci[/b]", 10, None)))


def usage(ask: UsageAsk) -> UsageReply:
    """What the accounts say."""
    rows = tuple(
        UsageRow(name=name, id=name, requests=1200 // place, errors=3 - place,
                 prompt_tokens=90_000 // place, cached_tokens=20_000 // place,
                 completion_tokens=45_000 // place, total_tokens=135_000 // place)
        for place, name in enumerate(("smollm2-135m", "qwen3-4b"), 1)
    )  # fmt: skip
    total = UsageRow(name="", requests=1800, total_tokens=202_500)
    return UsageReply(rows=rows, total=total, by=ask.by, since=int(NOW) - ask.since_seconds,
                      until=int(NOW))  # fmt: skip


def link(**says: Any) -> ScriptedLink:
    """A node that was asked a lot."""
    usual: dict[str, Any] = {
        "series": series, "accounts:whoami": who(), "accounts:keys.list": keys(),
        "accounts:usage": usage,
    }  # fmt: skip
    return ScriptedLink(**(usual | says))


class HeldLink(ScriptedLink):
    """The same node, whose series take until a test lets them come."""

    def __init__(self) -> None:
        super().__init__(**link().says)
        self.come = asyncio.Event()
        self.come.set()

    async def call(self, call: Call[Reply]) -> Reply:
        told = await super().call(call)
        if call.path.endswith("/series"):
            await self.come.wait()
        return told
