"""A doctor's look that a node takes at itself: one at a time, shared, and with a deadline."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from aiplat.control.machine import DoctorReply, DoctorStep
from aiplat.domain.errors import ConfigError, DeadlineExceeded
from aiplat.runtime import advice, looks
from aiplat.runtime.looks import Looks, look_at
from aiplat.runtime.places import find_places
from aiplat.runtime.settings import load_settings
from tests.unit.runtime.test_doctor import STATUS, running


class Look:
    """Takes as long as a test says, and counts."""

    def __init__(self) -> None:
        self.begun = 0
        self.at_once = 0
        self.most = 0
        self.go_on = threading.Event()

    def __call__(self) -> DoctorReply:
        self.begun += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        number = self.begun
        assert self.go_on.wait(60)
        self.at_once -= 1
        return DoctorReply(ok=True, steps=(DoctorStep(name="n", ok=True, text=str(number)),))


async def test_who_asks_meanwhile_shares_the_next() -> None:
    look = Look()
    taking = Looks(look)
    found: list[str] = []

    async def ask() -> None:
        found.append((await taking.take()).steps[0].text)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            while not look.begun:
                await trio.sleep(0.01)
            for _ in range(3):  # what the first look has seen already may be over
                nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            look.go_on.set()
    assert sorted(found) == ["1", "2", "2", "2"]
    assert (look.begun, look.most) == (2, 1)
    assert (await taking.take()).steps[0].text == "3"


async def test_one_that_takes_too_long_is_not_waited_for_and_still_the_only_one() -> None:
    look = Look()
    taking = Looks(look, seconds=0.05)
    for _ in range(2):
        with pytest.raises(DeadlineExceeded, match=r"more than 0\.05 s"):
            await taking.take()
    assert look.begun == 1
    look.go_on.set()


async def test_what_it_raises_is_raised_and_the_next_is_taken(tmp_path: Path) -> None:
    faults: list[Exception] = [ConfigError("The home is damaged.")]

    def look() -> DoctorReply:
        if faults:
            raise faults.pop()
        return DoctorReply(ok=True, steps=())

    taking = Looks(look)
    with pytest.raises(ConfigError):
        await taking.take()
    assert (await taking.take()).ok


async def test_a_look_asks_the_node_and_its_sentences_hold_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = find_places(str(tmp_path / "h"), {"AIPLAT_CACHE": str(tmp_path / "c")})
    loaded = load_settings(places, {})
    ill = replace(STATUS, drained=True, roles=("client", "gateway\x1b[2J"))
    monkeypatch.setattr(looks, "connect", lambda places: running(ill, STATUS.models))
    advice.use_home("/h")
    try:
        reply = await trio.to_thread.run_sync(look_at, places, loaded)
    finally:
        advice.use_home("")
    steps = {step.name: step for step in reply.steps}
    assert not reply.ok
    assert steps["identity"].ok
    assert steps["node"].advice == "A person drained it: `aiplat --home /h drain --off` ends that."
    assert "\x1b" not in steps["node"].text
