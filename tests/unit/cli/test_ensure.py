"""Which model a node is started for, and which one a prompt that names none asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aiplat.cli import ensure
from aiplat.cli.ensure import default_name, models_for
from aiplat.cli.failures import Failure
from aiplat.cli.reply import Reply
from aiplat.control.client import Event
from aiplat.control.messages import Accepted, Ask
from aiplat.domain.errors import ModelNotFound
from aiplat.engine.catalogue import DEFAULT_MODEL

DEFAULT = DEFAULT_MODEL


@pytest.mark.parametrize(
    ("model", "lacks", "can_run", "served"),
    [
        ("", False, True, ()),
        ("echo", False, True, (DEFAULT, "echo")),
        ("echo", True, True, ("echo",)),  # nothing is fetched for it
        ("echo", False, False, ("echo",)),
        (DEFAULT, False, True, (DEFAULT,)),
    ],
)
def test_a_node_started_for_another_model_serves_the_default_too(
    model: str, lacks: bool, can_run: bool, served: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr(ensure, "missing", lambda names, cache: list(names) if lacks else [])
    monkeypatch.setattr(ensure, "can_run_models", lambda: can_run)
    assert models_for(model, tmp_path) == served


def node(*models: str, background: bool, roles: tuple[str, ...] = ("processor",)) -> Any:
    offered = tuple(SimpleNamespace(name=name) for name in models)
    status = SimpleNamespace(models=offered, background=background, pid=7, roles=roles)

    def ask(ask: Ask) -> Iterator[Event]:
        yield Accepted(request="r")
        raise ModelNotFound("There is none.", param="model")

    return SimpleNamespace(status=lambda: status, ask=ask)


@pytest.mark.parametrize(
    ("models", "background", "name"),
    [
        (("echo", DEFAULT), True, DEFAULT),
        (("echo",), True, DEFAULT),
        (("mine",), True, ""),
        ((), True, ""),
        (("echo",), False, ""),  # a person started it with that
    ],
)
def test_nobody_hears_echo_who_did_not_ask_for_it(
    models: tuple[str, ...], background: bool, name: str
) -> None:
    assert default_name(node(*models, background=background)) == name


def test_what_another_gateway_offers_is_its_own_choice() -> None:
    assert default_name(node("echo", background=True, roles=("client",))) == ""


@pytest.mark.parametrize(
    ("background", "way"), [(True, "`aiplat stop` ends it"), (False, "`aiplat serve --model")]
)
def test_a_model_that_is_not_there_says_what_runs_and_what_to_type(
    background: bool, way: str
) -> None:
    reply = Reply(lambda text: None, lambda text: None)
    with pytest.raises(Failure, match=rf"none\. The node .*pid 7\) serves echo\. .*{way}"):
        reply.run(node("echo", background=background), Ask(messages=(), model=DEFAULT_MODEL))


def test_a_model_that_does_not_exist_is_not_to_be_started() -> None:
    reply = Reply(lambda text: None, lambda text: None)
    with pytest.raises(Failure, match=r"none\.$"):
        reply.run(node("echo", background=True), Ask(messages=(), model="x"))
