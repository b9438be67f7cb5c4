"""Models that are offered, or no more, while a node runs; and the choice, which outlives it."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import trio

from aiplat.domain.errors import ConfigError, InvalidRequest, ModelNotFound, NotReady
from aiplat.domain.ids import PeerId, Role
from aiplat.domain.models import ModelOffer
from aiplat.engine.interface import Engine
from aiplat.engine.settings import EngineSettings
from aiplat.roles.processor import Processor
from aiplat.runtime import chosen as chosen_module
from aiplat.runtime import engines as making
from aiplat.runtime.chosen import ChosenFile
from aiplat.runtime.engines import EngineMaker, why_none
from aiplat.runtime.options import ServeOptions
from aiplat.runtime.own_models import OwnModels
from aiplat.runtime.places import Places, find_places
from aiplat.runtime.roles import NO_PROCESSOR
from aiplat.runtime.served import Served
from aiplat.telemetry.metrics import Metrics
from tests.support.tiny_model import make_tiny_model
from tests.unit.runtime.test_own_models import pulled

ALL: tuple[Role, ...] = ("client", "gateway", "processor")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = find_places(str(tmp_path / "h"), {"AIPLAT_CACHE": str(tmp_path / "c")})
    found.prepare()
    pulled(found.cache, "org/a")
    pulled(found.cache, "org/b")
    return found


class Node:
    """What a node has of this: made as `run` makes it."""

    def __init__(self, places: Places, *models: str, background: bool = False) -> None:
        self.options = ServeOptions(roles=ALL, models=models, background=background)
        self.chosen = ChosenFile(places.chosen)
        self.maker = EngineMaker(self.options, EngineSettings(), places, Metrics())
        engines = self.maker.make_all(self.chosen.read())
        self.processor = Processor(PeerId("p"), engines)
        self.own = OwnModels(self.processor, engines, places.cache)
        self.served = Served(
            self.own, self.maker, lambda name: why_none(self.options, name), self.chosen,
            places.cache,
        )  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.processor.run)
            yield
            nursery.cancel_scope.cancel()

    @property
    def offered(self) -> list[str]:
        return [offer.name for offer in self.processor.announcement.models]


@pytest.fixture(autouse=True)
def can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "can_run_models", lambda: True)


async def test_one_more_is_offered_at_once_and_cold_and_after_a_restart_too(places: Places) -> None:
    node = Node(places, "org/a", background=True)
    done = await node.served.serve("org/b")
    assert done.message == ("The model org/b is offered from now on, and will be after restarts.")
    assert node.offered == ["org/a", "org/b"]
    assert node.own.offers()["org/b"].cold
    assert not node.own.offers()["org/a"].cold  # what it was told is loaded first
    assert "already" in (await node.served.serve("org/b")).message
    assert node.offered == ["org/a", "org/b"]
    assert stat.S_IMODE(places.chosen.stat().st_mode) == 0o600
    assert Node(places, "org/a", background=True).offered == ["org/a", "org/b"]
    assert Node(places, "echo").offered == ["echo"]  # a person who names models gets those


async def test_off_ends_it_and_it_can_come_back(places: Places) -> None:
    node = Node(places, "echo")
    async with node.running():
        for _ in range(2):
            await node.served.serve("org/b")
            assert not node.own.offers()["org/b"].cold  # it is alone in the garage, each time
            engine = node.own.engines[-1]
            done = await node.served.withdraw("org/b")
            assert done.message == "The model org/b is offered no more."
            assert engine.gone.is_set()  # type: ignore[attr-defined]  # it has a process
            assert node.offered == ["echo"]
            assert node.chosen.read() == ()


async def test_what_the_command_line_names_comes_back_and_that_is_said(places: Places) -> None:
    node = Node(places, "echo")
    await node.served.serve("echo")
    done = await node.served.withdraw("echo")
    assert "again after a restart" in done.message
    assert node.offered == []
    with pytest.raises(ModelNotFound, match="that this node offers"):
        await node.served.withdraw("echo")


async def test_one_at_work_is_not_taken_from_who_waits(places: Places) -> None:
    class Busy:
        name = "busy"

        def offer(self) -> ModelOffer:
            return ModelOffer(name="busy", state="ready", running=2, waiting=1)

    node = Node(places, "echo")
    node.own.add(cast(Engine, Busy()))
    with pytest.raises(InvalidRequest, match=r"busy is at work .* 2 requests run and 1 wait"):
        await node.served.withdraw("busy")
    assert node.offered == ["echo", "busy"]


async def test_what_is_not_here_or_no_name_is_not_offered(places: Places) -> None:
    node = Node(places, "echo")
    with pytest.raises(NotReady, match="aiplat models pull org/none"):
        await node.served.serve("org/none")
    with pytest.raises(ModelNotFound):
        await node.served.serve("nonsense")
    assert (node.offered, node.chosen.read()) == (["echo"], ())


async def test_two_models_do_not_share_a_name(places: Places, tmp_path: Path) -> None:
    one, other = make_tiny_model(tmp_path / "1" / "m"), make_tiny_model(tmp_path / "2" / "m")
    node = Node(places, "echo")
    async with node.running():
        await node.served.serve(str(one))
        with pytest.raises(InvalidRequest, match="offered as m already"):
            await node.served.serve(str(other))
        assert node.chosen.read() == (str(one),)
        await node.served.withdraw("m")
    assert (node.offered, node.chosen.read()) == (["echo"], ())


def test_a_choice_that_does_not_hold_keeps_no_node_from_starting(
    places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    places.chosen.write_text('{"models": ["org/gone", "nonsense", "org/b", "org/b"]}')
    places.chosen.chmod(0o600)
    node = Node(places, "org/a", background=True)
    assert node.offered == ["org/a", "org/b"]
    assert "org/gone is not on this machine" in caplog.text
    assert "nonsense" in caplog.text


@pytest.mark.parametrize("text", ["{", '{"models": [1]}'])
def test_a_damaged_choice_is_none_and_is_said(
    places: Places, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    places.chosen.write_text(text)
    places.chosen.chmod(0o600)
    assert ChosenFile(places.chosen).read() == ()
    assert str(places.chosen) in caplog.text


def test_choices_have_a_bound(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen_module, "MOST", 2)
    file = ChosenFile(places.chosen)
    for name in ("org/a", "org/b", "org/a"):
        file.add(name)
    with pytest.raises(InvalidRequest, match="2 models are chosen"):
        file.add("org/c")
    assert file.read() == ("org/a", "org/b")


async def test_a_model_that_was_removed_is_chosen_no_more(places: Places) -> None:
    node = Node(places, "echo")
    await node.served.serve("org/b")
    await node.served.forget("org/b")
    assert node.chosen.read() == ()


async def test_why_a_node_offers_none(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    client = ServeOptions(roles=("client",))
    upstream = ServeOptions(roles=ALL, backend="upstream", upstream="http://x/v1")
    assert "This node is client, and no processor" in why_none(client, "org/a")
    assert "another server (--upstream)" in why_none(upstream, "org/a")
    assert why_none(ServeOptions(roles=ALL), "org/a") == ""
    own = OwnModels(None, (), places.cache)
    served = Served(
        own, None, lambda name: why_none(client, name), ChosenFile(places.chosen), places.cache
    )
    with pytest.raises(InvalidRequest, match="no processor"):
        await served.serve("org/a")
    with pytest.raises(InvalidRequest, match="no processor"):
        await served.withdraw("org/a")
    monkeypatch.setattr(making, "can_run_models", lambda: False)
    assert why_none(ServeOptions(roles=ALL), "org/a") == NO_PROCESSOR
    assert why_none(ServeOptions(roles=ALL), "echo") == ""
    assert why_none(client, "org/a") == NO_PROCESSOR


def test_what_it_was_told_must_be_there(places: Places) -> None:
    with pytest.raises(NotReady, match="org/none"):
        Node(places, "org/none")
    folders = [str(make_tiny_model(places.data / n / "mine")) for n in ("1", "2")]
    with pytest.raises(ConfigError, match="Two models"):
        Node(places, *folders)
