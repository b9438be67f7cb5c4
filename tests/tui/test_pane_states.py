"""What each pane says while its node starts, once that failed, and when the node cannot tell."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from aiplat.domain.errors import InvalidRequest, NotReady
from aiplat.tui.app import PANES
from tests.support.screens import ScriptedLink, app_of, drive, running, text_of, until

STEPS = ("looking for the model", "waiting for the node")
TAKEN = "The port 4001 is taken."
FULL = "The disk is full."

# What is asked first, and what is said: while it starts, when it did not, when it cannot tell.
ASKED = {"chat": "history:list", "peers": "peers", "keys": "accounts:whoami", "usage": "series",
         "logs": "log"}  # fmt: skip
STARTING = {
    "chat": ("The node comes up.", "You can type already", *STEPS),
    "peers": ("The node starts; this is asked for when it is there.",),
    "keys": ("The node is not there", "The line above says", "how it is, and what starts it."),
    "usage": ("The node starts; this is asked for when it",),
    "logs": ("The node starts; this is asked for when it is there.",),
}
_FAILED = "The node could not be started: the line above"
FAILED = {
    "chat": ("The node did not start.", "The line above says why; F5 tries again."),
    "peers": (_FAILED, "says why, and which key tries again."),
    "keys": ("The node is not there", "The line above says", "how it is, and what starts it."),
    "usage": (_FAILED, "says why, and which key tries again."),
    "logs": (_FAILED, "says why, and which key tries again."),
}
_CANNOT_TELL = ("The node could not tell: the line above", "It is asked again and again.")
CANNOT_TELL = {
    "chat": (f"▲ {FULL}",),  # above the list: to chat the list is not needed
    "peers": (FULL, *_CANNOT_TELL),
    "keys": ("Your account cannot be shown", FULL, "Log in"),
    "usage": (FULL, *_CANNOT_TELL),
    "logs": (FULL, *_CANNOT_TELL),
}
each_pane = pytest.mark.parametrize("pane", PANES)
Start = Callable[[Callable[[str], None]], None]


@pytest.fixture
def slow_start() -> Iterator[Start]:
    """A node that tells its steps, and then takes until the test ends."""
    ends = threading.Event()

    def start(say: Callable[[str], None]) -> None:
        for step in STEPS:
            say(step)
        ends.wait(60)

    yield start
    ends.set()


def says(pane: str, link: ScriptedLink, start: Start | None, *wanted: str) -> None:
    """Show the pane, and wait until all of that stands on the screen."""

    async def test() -> None:
        app = app_of(link, start=start)
        async with running(app, (100, 30), pane) as pilot:
            for words in wanted:
                await until(pilot, lambda words=words: words in text_of(app), f"“{words}” is said")  # type: ignore[misc]  # a default binds it

    drive(test)


def without_node() -> ScriptedLink:
    link = ScriptedLink()
    link.vanish()
    return link


@each_pane
def test_while_the_node_starts_it_says_so(pane: str, slow_start: Start) -> None:
    banner = f"The node starts … {STEPS[-1]}"
    says(pane, without_node(), slow_start, "● the node starts", banner, *STARTING[pane])


@each_pane
def test_when_it_did_not_start_it_says_why_and_what_to_do(pane: str) -> None:
    def start(say: Callable[[str], None]) -> None:
        raise InvalidRequest(TAKEN)

    says(pane, without_node(), start, f"{TAKEN} F5 tries again.", *FAILED[pane])


@each_pane
def test_when_the_node_cannot_tell_it_says_what_went_wrong(pane: str) -> None:
    fault = NotReady(FULL)
    link = ScriptedLink(**{ASKED[pane]: fault, "keyring": fault, "accounts:whoami": fault,
                           "accounts:keys.list": fault})  # fmt: skip
    says(pane, link, None, *CANNOT_TELL[pane])


def test_steps_that_come_before_the_pane_is_drawn_break_nothing(
    slow_start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "asyncio"):  # which writes down what a callback raised
        says("chat", without_node(), slow_start, *STEPS)
    assert not caplog.text
