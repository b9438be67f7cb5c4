"""A node as the screens see it, whose every word a test wrote down, and pictures of the screens."""

from __future__ import annotations

import asyncio
import difflib
import itertools
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from textual._context import visible_screen_stack
from textual.pilot import Pilot

from aiplat.control.accounts import AccountsCall
from aiplat.control.calls import Call, Reply
from aiplat.control.events import Event
from aiplat.control.faults import NoNode
from aiplat.control.history import HistoryCall, HistoryList
from aiplat.control.machine import LogReply
from aiplat.control.messages import (
    Ask,
    Done,
    ModelList,
    ModelStatus,
    NetworkStatus,
    PeerList,
    ShareStatus,
    ShareTerms,
    Status,
)
from aiplat.control.series import SeriesAsk, SeriesReply, SeriesRow
from aiplat.domain.answers import Finished
from aiplat.domain.errors import AiplatError
from aiplat.tui.app import AiplatApp
from aiplat.tui.clipboard import Clipboard
from aiplat.tui.preferences import Preferences, PreferencesFile

PEER = "12D3KooWAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaA1"
NOW = datetime(2026, 11, 26, 14, 30, 5, tzinfo=UTC).timestamp()
"""What time it is in every picture."""

SIZES = ((160, 42), (100, 30), (60, 18))
LOOKS = ("dark", "light", "plain")
"""The two themes of our own, and no colour."""

PICTURES = Path(__file__).parent.parent / "tui" / "pictures"
_SECONDS = 20.0
_PICTURE_SECONDS = 8.0


@dataclass
class StillClock:
    """A clock that moves when a test says so."""

    at: float = NOW
    passed: float = 1000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.passed

    def local(self, at: float) -> datetime:
        return datetime.fromtimestamp(at, UTC)

    def advance(self, seconds: float) -> None:
        self.at += seconds
        self.passed += seconds


def status(**changes: Any) -> Status:
    """A node that is ready, in a network of its own."""
    usual = Status(
        peer_id=PEER, addresses=(f"/ip4/192.0.2.7/tcp/4001/p2p/{PEER}",),
        http="http://127.0.0.1:8777", control="/home/ann/state/control.sock",
        roles=("client", "gateway", "processor"),
        models=(ModelStatus(name="smollm2-135m", state="ready", processors=1, slots=32),),
        here=(ModelStatus(name="smollm2-135m", state="ready", processors=1, slots=32),),
        peers=(), version="0.1.0", pid=4242, background=True, uptime_seconds=3725.0,
        network=NetworkStatus(name="lab", key="00" * 32, owner=True, roles=("client", "gateway")),
        share=ShareStatus(state="open", terms=ShareTerms()),
    )  # fmt: skip
    return msgspec.structs.replace(usual, **changes)


def no_series(ask: SeriesAsk) -> SeriesReply:
    """What a node says that nobody asked anything."""
    return SeriesReply(since=ask.since, until=int(NOW) + 1, step=ask.step, rows=(),
                       total=SeriesRow(at=ask.since))  # fmt: skip


class ScriptedLink:
    """Answers questions as the test says (`Link`).

    `says` maps a path, or ``accounts:METHOD`` and ``history:METHOD``, to a reply, an error to be
    raised, a future of either, or a function of the wish that gives one. What was asked is in
    `asked`.
    """

    def __init__(self, **says: Any) -> None:
        self.says: dict[str, Any] = {
            "status": status(),
            "peers": PeerList(peers=()),
            "models": ModelList(models=status().models),
            "share": ShareStatus(state="open", terms=ShareTerms()),
            "series": no_series,
            "log": LogReply(lines=()),
            "history:list": HistoryList(conversations=()),
            "history:save": Done(message="Kept."),
        }
        self.says.update(says)
        self.asked: list[tuple[str, Any]] = []
        self.streams: list[Stream] = []

    def of(self, name: str) -> list[Any]:
        """The wishes that were sent to that path or method."""
        return [wish for asked, wish in self.asked if asked == name]

    async def call(self, call: Call[Reply]) -> Reply:
        name, wish = _named(call)
        self.asked.append((name, wish))
        await asyncio.sleep(0)
        if name not in self.says:
            raise AssertionError(f"nothing is written down for {name}")
        said = self.says[name]
        if callable(said) and not isinstance(said, type):
            said = said(wish)
        if isinstance(said, asyncio.Future):
            said = await said
        if isinstance(said, AiplatError):
            raise said
        assert isinstance(said, call.reply), (name, said)
        return said

    def ask(self, ask: Ask) -> AsyncGenerator[Event, None]:
        stream = Stream(ask)
        self.streams.append(stream)
        return stream.events()

    def follow(self, request: str) -> AsyncGenerator[Event, None]:
        stream = Stream(request)
        self.streams.append(stream)
        return stream.events()

    def vanish(self) -> None:
        """No node is there from now on."""
        self.says["status"] = NoNode("No node runs here.")


class Stream:
    """An answer under way: the test says what comes; `left` once the reader closed it early."""

    def __init__(self, asked: Ask | str) -> None:
        self.asked = asked
        self.left = False
        self._said: asyncio.Queue[Event | AiplatError | None] = asyncio.Queue()

    def say(self, *events: Event | AiplatError) -> None:
        for event in events:
            self._said.put_nowait(event)

    def end(self) -> None:
        self._said.put_nowait(None)

    async def events(self) -> AsyncGenerator[Event, None]:
        try:
            while (event := await self._said.get()) is not None:
                if isinstance(event, AiplatError):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        except GeneratorExit:
            self.left = True
            raise
        except asyncio.CancelledError:
            self.left = True
            raise


def _named(call: Call[Any]) -> tuple[str, Any]:
    from aiplat.control import accounts, history

    name, wish = call.path.removeprefix("/control/"), call.wish
    if isinstance(wish, AccountsCall):
        told = msgspec.json.decode(wish.wish, type=accounts.METHODS[wish.method].wish)
        return f"accounts:{wish.method}", told
    if isinstance(wish, HistoryCall):
        said = msgspec.json.decode(wish.wish, type=history.METHODS[wish.method].wish)
        return f"history:{wish.method}", said
    return name, wish


@dataclass
class Copies:
    """A clipboard that keeps what was copied."""

    texts: list[str] = field(default_factory=list)

    def clipboard(self) -> Clipboard:
        return Clipboard(lambda sequence: None, {}, lambda command, data: False, self.texts.append)


def app_of(
    link: ScriptedLink,
    *,
    clock: StillClock | None = None,
    welcomed: bool = True,
    preferences: Preferences | None = None,
    copies: Copies | None = None,
    folder: Path | None = None,
    start: Callable[[Callable[[str], None]], None] | None = None,
) -> AiplatApp:
    """The app on a scripted node; without animation, and by a clock that stands still."""
    wanted = preferences or Preferences(animation=False, welcomed=welcomed)
    file = PreferencesFile(None if folder is None else folder / "terminal.json")
    if folder is None:
        file.read = lambda: (wanted, "")  # type: ignore[method-assign]  # for this run only
    else:
        file.write(wanted)
    return AiplatApp(
        link, start, preferences=file, clock=clock or StillClock(),
        clipboard=(copies or Copies()).clipboard(),
    )  # fmt: skip


@asynccontextmanager
async def running(
    app: AiplatApp, size: tuple[int, int] = (100, 30), pane: str = ""
) -> AsyncIterator[Pilot[None]]:
    """Run it without a terminal until it has seen its node; show that pane."""
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: app.world.phase != "looking", "the node is looked at")
        if pane:
            await app.show_pane(pane)
        await pilot.pause()
        yield pilot


async def until(
    pilot: Pilot[None], condition: Callable[[], object], what: str = "it is so"
) -> None:
    """Wait until a condition holds; fails after some seconds."""
    end = asyncio.get_running_loop().time() + _SECONDS
    while not condition():
        if asyncio.get_running_loop().time() > end:
            assert isinstance(pilot.app, AiplatApp)
            raise AssertionError(f"waited {_SECONDS:g} s until {what}\n{text_of(pilot.app)}")
        await pilot.pause(0.01)


async def settled(pilot: Pilot[None]) -> None:
    """Wait until the screen does not change any more."""
    app = cast("AiplatApp", pilot.app)
    before, now = "", picture(app)

    while before != now:
        await pilot.pause(0.1)
        before, now = now, picture(app)


def drive(test: Callable[[], Awaitable[None]]) -> None:
    """Run an asyncio test to its end."""

    async def run() -> None:
        await test()

    asyncio.run(run())


# -- pictures ------------------------------------------------------------------------------------


def seen(app: AiplatApp) -> list[str]:
    """The lines of the screen, as text."""
    return ["".join(segment.text for segment in strip).rstrip() for strip in _strips(app)]


def text_of(app: AiplatApp) -> str:
    """The screen, as one text."""
    return "\n".join(seen(app))


def _strips(app: AiplatApp) -> Sequence[Any]:
    # What lies below a translucent screen is drawn only where it is named here, as Textual does.
    visible_screen_stack.set(list(app._background_screens))
    return cast("Sequence[Any]", app.screen._compositor.render_strips())


def picture(app: AiplatApp) -> str:
    """The screen as text, and below it the runs of each line that look alike."""
    lines: list[str] = []
    looks: list[str] = []
    for number, strip in enumerate(_strips(app)):
        lines.append("".join(segment.text for segment in strip).rstrip())
        runs: list[str] = []
        column, before, begin = 0, "", 0
        for segment in strip:
            look = str(segment.style) if segment.style is not None else ""
            look = " ".join(w for w in look.split() if not w.startswith(("meta", "@", "{")))
            if look != before:
                if column > begin:
                    runs.append(f"{begin}-{column}:{before}")
                before, begin = look, column
            column += segment.cell_length
        runs.append(f"{begin}-{column}:{before}")
        looks.append(f"{number:2} " + " | ".join(runs))
    return "\n".join([*lines, "-" * 8, *looks, ""])


async def looks_as(pilot: Pilot[None], name: str) -> None:
    """Wait until the screen looks as in its picture; it is drawn bit by bit.

    AIPLAT_PICTURES=write draws the picture anew instead, once the screen stands still.
    """
    app = pilot.app
    assert isinstance(app, AiplatApp)
    file = PICTURES / f"{name}.txt"
    if os.environ.get("AIPLAT_PICTURES") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(await _still(pilot, app), encoding="utf-8")
        return
    assert file.exists(), f"{file} is not drawn yet: run with AIPLAT_PICTURES=write, and look at it"
    before = file.read_text(encoding="utf-8")
    end = asyncio.get_running_loop().time() + _PICTURE_SECONDS
    while (now := picture(app)) != before:
        if asyncio.get_running_loop().time() > end:
            lines = difflib.unified_diff(before.splitlines(), now.splitlines(), "drawn", "now", n=0)
            shown = "\n".join(itertools.islice(lines, 40))
            raise AssertionError(f"the screen is not as in {file}\n{shown}")
        await pilot.pause(0.02)


async def _still(pilot: Pilot[None], app: AiplatApp) -> str:
    """The picture that stays for a while."""
    before, same = picture(app), 0
    while same < 8:
        await pilot.pause(0.1)
        now = picture(app)
        before, same = now, same + 1 if now == before else 0
    return before


def each_look() -> pytest.MarkDecorator:
    """Every size in every look."""
    return pytest.mark.parametrize(
        ("size", "look"),
        [(size, look) for size in SIZES for look in LOOKS],
        ids=lambda value: value if isinstance(value, str) else "x".join(map(str, value)),
    )


def prefer(look: str, monkeypatch: pytest.MonkeyPatch) -> Preferences:
    """What a person set who sees it so."""
    monkeypatch.delenv("TEXTUAL_THEME", raising=False)
    if look == "plain":
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    theme = "aiplat-light" if look == "light" else "aiplat-dark"
    return Preferences(theme=theme, animation=False, welcomed=True)


def save_svg(app: AiplatApp, path: Path) -> None:
    """Draw it as a picture for a person to look at."""
    path.write_text(app.export_screenshot(), encoding="utf-8")
