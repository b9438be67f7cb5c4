"""The control API's routes of the node's machine, by the one client of the faces."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.control import calls
from aiplat.control.machine import (
    KnownModel,
    LogAsk,
    LogLine,
    LogReply,
    Pull,
    PullWish,
    ServeWish,
    Shelf,
)
from aiplat.domain.errors import Overloaded
from tests.integration.test_http_control import open_desk
from tests.support.fake_node import FakeNode


async def test_each_question_reaches_the_node_and_its_answer_comes_back(tmp_path: Path) -> None:
    node = FakeNode()
    line = LogLine(number=0, at=1.5, level="info", logger="l", message="m", more="a=1")
    node.logged = LogReply(lines=(line,), last=0, lost=2, path="/log")
    node.shelved = Shelf(
        models=(KnownModel(name="org/a", bytes=7, here=True),),
        pulls=(Pull(model="org/b", stage="download", done=1, total=2),), memory_bytes=3,
        free_bytes=4, cache="/c",
    )  # fmt: skip
    ask = LogAsk(after=3, most=9, level="error", search="x")
    pull, serve = PullWish(model="org/b", cancel=True), ServeWish(model="org/a", off=True)
    async with open_desk(tmp_path, node) as desk:
        assert await desk.use(lambda client: client.log(ask)) == node.logged
        assert await desk.use(lambda client: client.call(calls.doctor())) == node.looked
        assert await desk.use(lambda client: client.shelf()) == node.shelved
        assert "PullWish" in (await desk.use(lambda client: client.pull_model(pull))).message
        assert "ServeWish" in (await desk.use(lambda client: client.serve_model(serve))).message
    assert node.orders == [ask, "doctor", "shelf", pull, serve]


async def test_a_refusal_comes_as_what_it_was(tmp_path: Path) -> None:
    node = FakeNode()
    node.not_there = Overloaded("Two are on the way.", retry_after=30)
    async with open_desk(tmp_path, node) as desk:
        with pytest.raises(Overloaded, match="Two are") as refused:
            await desk.use(lambda client: client.pull_model(PullWish(model="org/a")))
    assert refused.value.retry_after == 30
