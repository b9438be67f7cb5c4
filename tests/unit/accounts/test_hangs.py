"""A disk that tells of no fault, and does not come to an end: nothing is served uncounted."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest
import trio

from aiplat.accounts.writer import LATE_SECONDS
from aiplat.domain.errors import NotReady
from tests.unit.accounts.helpers import Home, busy, finishes, refused, until

FAILURES = "aiplat_accounts_store_failures_total"


async def test_usage_that_waits_too_long_stops_admission_until_it_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    home = Home(tmp_path)
    accounts = home.accounts

    def is_stuck() -> bool:
        accounts._flush()
        return accounts.is_stuck

    async with home.running(), trio.open_nursery() as nursery:
        goes_on = await busy(home, nursery)
        finishes(home.admit())
        assert not is_stuck()
        home.clock.passes(LATE_SECONDS)
        assert not is_stuck(), "a lock may take so long"
        home.admit().give_back()
        home.clock.passes(0.1)
        assert is_stuck()
        with refused(NotReady, "nothing in that it cannot count: the disk .* hangs") as caught:
            home.admit()
        assert caught.value.retry_after == 5
        assert is_stuck()
        assert home.count(FAILURES) == 1, "once, not each time"
        goes_on.set()
        await home.written()
        assert not is_stuck()
        home.admit().give_back()
    told = [record.message for record in caplog.records]
    assert [line for line in told if "has not been written for 2.1 s" in line]
    assert "the accounts' database takes usage again" in told
    assert home.rows("SELECT count(*) FROM events") == [(1,)]


async def test_a_request_under_way_is_seen_as_well(tmp_path: Path) -> None:
    """Its row waits for the disk like the event of one that ended."""
    home = Home(tmp_path)
    async with home.running(), trio.open_nursery() as nursery:
        goes_on = await busy(home, nursery)
        lease = home.admit()
        home.accounts._flush()
        home.clock.passes(LATE_SECONDS + 0.1)
        home.accounts._flush()
        assert home.accounts.is_stuck
        goes_on.set()
        lease.give_back()


async def test_where_nothing_waits_no_time_is_too_long(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running(), trio.open_nursery() as nursery:
        goes_on: threading.Event = await busy(home, nursery)
        home.clock.passes(1000)
        home.accounts._flush()
        assert not home.accounts.is_stuck
        goes_on.set()
        await until(lambda: not home.accounts._house.writer._changes, "it is done")
