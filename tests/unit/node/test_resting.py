"""What failed rests, each time for longer, and is not remembered without bound."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from aiplat.node import resting as resting_module
from aiplat.node.resting import Resting


@pytest.mark.trio
async def test_each_rest_is_twice_the_last_up_to_the_longest(autojump_clock: Any) -> None:
    resting: Resting[str] = Resting(first=10, longest=35)
    for seconds in (10, 20, 35, 35):
        resting.failed("a")
        await trio.sleep(seconds - 0.1)
        assert "a" in resting
        await trio.sleep(0.2)
        assert "a" not in resting
    resting.worked("a")
    resting.failed("a")
    await trio.sleep(10.1)
    assert "a" not in resting, "from the first rest on"


@pytest.mark.trio
async def test_the_oldest_is_forgotten_for_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting_module, "MAX_RESTING", 2)
    resting: Resting[int] = Resting(first=10, longest=10)
    for key in (1, 2, 1, 3):
        resting.failed(key)
    assert [key in resting for key in (1, 2, 3)] == [True, False, True]
    resting.clear()
    assert 1 not in resting
