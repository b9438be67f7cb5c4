"""A processor held to its owner's terms, on clocks and a machine that the test makes up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aiplat.control.messages import ShareTerms, ShareWish
from aiplat.domain.answers import Failed
from aiplat.domain.errors import ConfigError, InvalidRequest, ShuttingDown
from aiplat.domain.ids import PeerId
from aiplat.engine.settings import EngineSettings
from aiplat.roles.processor import Processor
from aiplat.roles.settings import ShareSettings
from aiplat.roles.sharing_idle import Reading
from aiplat.runtime.share import IN_USE, WATCHED, Clock, Share
from aiplat.runtime.share_file import TermsFile
from tests.support.dialogue import submission
from tests.support.scripted import Kept, offer
from tests.unit.roles.test_client_and_processor import FakeEngine

PEER = PeerId("12D3KooWGGGGGGGG")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


class Engine(FakeEngine):
    """One that is ready, and keeps the settings that it was given besides."""

    def __init__(self) -> None:
        super().__init__()
        self.now = offer()
        self.settings: list[EngineSettings] = []
        self.least_mib = 0

    def check_within(self, settings: EngineSettings) -> None:
        if 0 < settings.memory_mib < self.least_mib:
            raise ConfigError("The model does not fit.")

    def reconfigure(self, settings: EngineSettings) -> None:
        self.settings.append(settings)


class Machine:
    """One core, of which others take a share since the last reading; someone may have typed."""

    def __init__(self) -> None:
        self.others = 0.0
        self.typed: float | None = None
        self.fault: Exception | None = None
        self._at = trio.current_time()
        self._busy = 0.0

    def check(self) -> None:
        if self.fault is not None:
            raise ConfigError("It cannot be read.")

    async def take(self) -> Reading:
        if self.fault is not None:
            raise self.fault
        now = trio.current_time()
        self._busy += self.others * (now - self._at)
        self._at = now
        return Reading(now, self._busy, 0.0, 1, self.typed)


class Desk:
    """A shared machine: its parts, and what a test does with them."""

    def __init__(self, folder: Path, **terms: object) -> None:
        self.file = TermsFile(folder / "data" / "share.json")
        self.engine = Engine()
        self.processor = Processor(PeerId("here"), [self.engine])
        self.machine = Machine()
        start = trio.current_time()
        clock = Clock(
            time=lambda: NOON + trio.current_time() - start,
            wall=lambda when: datetime.fromtimestamp(when, UTC),
        )
        self.share = Share(
            self.processor, ShareSettings(), EngineSettings(threads=8), self.file,
            ShareTerms(**terms),  # type: ignore[arg-type]  # test data
            self.engine, clock, self.machine,
        )  # fmt: skip

    @property
    def standing(self) -> tuple[str, str]:
        status = self.share.status()
        return status.state, status.reason

    def asked(self) -> Kept:
        """A gateway asks."""
        kept = Kept()
        self.processor.submit(submission(model="tiny"), kept, PEER, "gateway")
        return kept


@asynccontextmanager
async def at_work(folder: Path, **terms: object) -> AsyncIterator[Desk]:
    desk = Desk(folder, **terms)
    async with trio.open_nursery() as nursery:
        await nursery.start(desk.share.run)
        yield desk
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_terms_are_kept_and_hold_at_once_at_the_next_start(tmp_path: Path) -> None:
    async with at_work(tmp_path) as desk:
        assert desk.standing == ("open", "")
        done = desk.share.change(ShareWish(pause=True, hours="22-8"))
        assert "paused by its owner" in done.message
        assert "share --resume" in done.message
        assert desk.standing == ("paused", "paused by its owner")
    assert desk.file.path.stat().st_mode & 0o777 == 0o600
    assert json.loads(desk.file.path.read_text()) == {"paused": True, "hours": "22-08"}
    again = Desk(tmp_path, paused=True)
    assert desk.file.read() == ShareTerms(paused=True, hours="22-08")
    with pytest.raises(ShuttingDown):
        again.asked()  # before it runs: nothing slips through


@pytest.mark.trio
async def test_hours_open_and_close_by_the_clock(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with at_work(tmp_path, hours="13-14:30") as desk:
        assert desk.standing == ("closed", "outside its hours (13-14:30)")
        status = desk.share.status()
        assert (status.changes_in, status.changes_at) == (HOUR, "13:00")
        await trio.sleep(HOUR + 6)
        assert desk.standing == ("open", "")
        assert desk.share.status().changes_at == "14:30"
        kept = desk.asked()
        await trio.sleep(1.5 * HOUR)
        assert desk.standing == ("closed", "outside its hours (13-14:30)")
        assert desk.share.status().changes_at == "13:00 tomorrow"
        assert not kept.events, "what runs goes on"
        desk.share.change(ShareWish(hours="always"))
        assert desk.standing == ("open", "")


@pytest.mark.trio
async def test_idle_only_waits_for_quiet_and_gives_grace_when_somebody_comes_back(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with at_work(tmp_path) as desk:
        desk.share.change(ShareWish(idle_only=True))
        assert desk.standing == ("waiting", WATCHED)
        await trio.sleep(70)
        assert desk.standing == ("open", "")
        kept = desk.asked()
        desk.machine.typed = 1.0
        await trio.sleep(6)
        assert desk.standing == ("waiting", IN_USE)
        assert "somebody typed" in desk.share.status().note
        assert not kept.events, "it has its grace"
        await trio.sleep(31)
        assert isinstance(kept.end, Failed)
        assert kept.end.recoverable
        assert desk.engine.work[0].cancelled
        desk.machine.typed = None
        await trio.sleep(10)
        assert desk.standing == ("open", "")
        desk.machine.others = 1.0
        await trio.sleep(25)
        assert desk.standing == ("waiting", IN_USE)
        assert desk.share.status().note.startswith("other programs take")
        desk.share.change(ShareWish(idle_only=False))
        assert desk.standing == ("open", "")


@pytest.mark.trio
async def test_who_goes_again_within_the_grace_ends_nothing(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with at_work(tmp_path, idle_only=True) as desk:
        await trio.sleep(70)
        kept = desk.asked()
        desk.machine.typed = 1.0
        await trio.sleep(20)
        desk.machine.typed = None
        await trio.sleep(60)
        assert desk.standing == ("open", "")
        assert not kept.events
        desk.machine.typed = 1.0
        await trio.sleep(20)
        assert desk.standing == ("waiting", IN_USE)
        assert not kept.events, "the grace begins anew"


@pytest.mark.trio
async def test_a_machine_that_cannot_be_read_is_not_idle(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with at_work(tmp_path) as desk:
        desk.machine.fault = OSError("gone")
        with pytest.raises(ConfigError, match="cannot be read"):
            desk.share.change(ShareWish(idle_only=True, pause=True))
        assert desk.share.terms == ShareTerms(), "nothing has changed"
        assert not desk.file.path.exists()
        desk.machine.fault = None
        desk.share.change(ShareWish(idle_only=True))
        await trio.sleep(70)
        assert desk.standing == ("open", "")
        desk.machine.fault = OSError("gone")
        await trio.sleep(6)
        assert desk.standing == ("waiting", WATCHED)


@pytest.mark.trio
async def test_a_pause_now_ends_what_others_have(tmp_path: Path) -> None:
    async with at_work(tmp_path) as desk:
        running = desk.asked()
        with pytest.raises(InvalidRequest, match="say pause too"):
            desk.share.change(ShareWish(now=True))
        assert (
            "1 request of theirs under way goes on"
            in desk.share.change(ShareWish(pause=True)).message
        )
        assert not running.events
        assert (
            "1 request of theirs ended"
            in desk.share.change(ShareWish(pause=True, now=True)).message
        )
        assert isinstance(running.end, Failed)


@pytest.mark.trio
async def test_the_engines_hear_of_bounds_that_changed(tmp_path: Path) -> None:
    async with at_work(tmp_path) as desk:
        desk.share.change(ShareWish(hours="22-08"))
        assert not desk.engine.settings
        desk.share.change(ShareWish(threads=2, max_memory="1GiB"))
        desk.share.change(ShareWish(threads=0))
        assert [(s.threads, s.memory_mib) for s in desk.engine.settings] == [(2, 1024), (8, 1024)]


@pytest.mark.trio
async def test_memory_in_which_a_model_does_not_fit_is_refused_at_once(tmp_path: Path) -> None:
    async with at_work(tmp_path) as desk:
        desk.engine.least_mib = 900
        with pytest.raises(ConfigError, match="does not fit"):
            desk.share.change(ShareWish(max_memory="500MiB", threads=2))
        assert desk.share.terms == desk.file.read() == ShareTerms()
        assert not desk.engine.settings
        desk.share.change(ShareWish(max_memory="900MiB"))
        assert [s.memory_mib for s in desk.engine.settings] == [900]


@pytest.mark.trio
async def test_terms_that_cannot_be_kept_do_not_hold(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    async with at_work(tmp_path) as desk:
        with pytest.raises(ConfigError, match="data"):
            desk.share.change(ShareWish(pause=True))
        await wait_all_tasks_blocked()
        assert desk.standing == ("open", "")


@pytest.mark.parametrize("text", ["", "{", '{"hours": "late"}', '{"threads": -3}', '{"paused": 1}'])
def test_a_damaged_file_is_no_reason_to_share_with_all(text: str, tmp_path: Path) -> None:
    file = TermsFile(tmp_path / "share.json")
    assert file.read() == ShareTerms()
    file.path.write_text(text)
    file.path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"share\.json holds no terms of sharing .* Remove it"):
        file.read()
    file.path.chmod(0o644)
    with pytest.raises(ConfigError, match="may be read by others"):
        file.read()


@pytest.mark.trio
async def test_bounds_of_this_machine_are_refused_where_models_run_elsewhere(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path) as desk:
        desk.share._engines = None
        for wish in (ShareWish(threads=2), ShareWish(max_memory="1GiB")):
            with pytest.raises(InvalidRequest, match="run in another server"):
                desk.share.change(wish)
        assert desk.share.terms == ShareTerms()
        desk.share.change(ShareWish(pause=True))
