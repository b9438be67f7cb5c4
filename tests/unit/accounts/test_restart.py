"""A gateway that is started again goes on with the minute and the month of its last life."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from aiplat.accounts.accounts import Accounts, StorePlaces
from aiplat.accounts.settings import AccountsSettings
from aiplat.domain.answers import Finished
from aiplat.domain.errors import RateLimited
from aiplat.domain.usage import Timings, Usage
from aiplat.telemetry.metrics import Metrics
from tests.support.dialogue import started

GATEWAY = "gateway-here"
PEER = "peer-that-asks"


class Gone:
    """A request that came to something."""

    tokens = 3
    processor = "p"
    model = "tiny"
    began = started()


def a_life(folder: Path, wall: list[float], requests: int = 3) -> Accounts:
    accounts = Accounts(
        GATEWAY, StorePlaces(folder / "accounts.db", folder / "backups"),
        AccountsSettings(requests_per_minute=requests, tokens_per_month=100), Metrics(),
        wall=lambda: wall[0], now=lambda: wall[0],
    )  # fmt: skip
    accounts.open()
    return accounts


def asks(accounts: Accounts) -> None:
    lease = accounts.admission.admit("req-" + "0" * 24, "", PEER, "tiny", 3, 10)
    lease.progress = Gone()
    lease.end(Finished("stop", Usage(3, 3)), "tiny", "stop", Timings())


async def written(accounts: Accounts) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(accounts.run)
        nursery.cancel_scope.cancel()


async def test_its_minute_goes_on_and_ends_when_it_would_have(tmp_path: Path) -> None:
    wall = [1_795_680_000.0]
    first = a_life(tmp_path, wall)
    for _ in range(2):
        asks(first)
        wall[0] += 10
    await written(first)
    second = a_life(tmp_path, wall)
    asks(second)
    with pytest.raises(RateLimited, match="3 were let in") as hit:
        asks(second)
    assert hit.value.retry_after in (40, 41)  # in whole seconds
    wall[0] += 40.1
    asks(second)
    await written(second)


async def test_a_minute_later_and_its_month(tmp_path: Path) -> None:
    wall = [1_795_680_000.0]
    first = a_life(tmp_path, wall)
    for _ in range(3):
        asks(first)
    await written(first)
    wall[0] += 60.1
    second = a_life(tmp_path, wall)
    for _ in range(3):
        asks(second)
    wall[0] += 60.1
    third = a_life(tmp_path, wall, requests=1000)
    await written(second)
    assert third._house.limiter.used_this_month(f"peer:{PEER}") == 18
