"""The parts of the node beside the roles: a fault of one is its own."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from aiplat.node.services import LONGEST_PAUSE_SECONDS, run_service


class Failing:
    """A service that fails so often, `lives` seconds after each start."""

    def __init__(self, times: int, lives: float = 0.0) -> None:
        self.starts: list[float] = []
        self._times = times
        self._lives = lives

    async def run(self, host: object) -> None:
        self.starts.append(trio.current_time())
        await trio.sleep(self._lives)
        if len(self.starts) <= self._times:
            raise ValueError("a fault of this service")


@pytest.mark.trio
@pytest.mark.parametrize(
    ("lives", "pauses"),
    [(0.0, [1, 2, 4, 8, 16, 32, 60, 60]), (LONGEST_PAUSE_SECONDS + 1, [1] * 8)],
)
async def test_a_service_that_fails_begins_again_after_a_pause_that_grows(
    lives: float, pauses: list[float], autojump_clock: MockClock, caplog: Any
) -> None:
    service = Failing(8, lives)
    await run_service(cast(Any, service), cast(Any, None))
    found = [
        round(after - before - lives, 3)
        for before, after in zip(service.starts, service.starts[1:], strict=False)
    ]
    assert found == pauses
    assert sum("Failing failed, and begins again" in r.message for r in caplog.records) == 8
