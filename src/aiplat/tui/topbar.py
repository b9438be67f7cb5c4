"""The first line of the screen: the five names, and in few words how the node is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Click
from textual.widgets import Static

from aiplat.tui.steady import Steady
from aiplat.tui.text import cut, flat
from aiplat.tui.world import World

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame


class TabName(Static):
    """The name of a pane; a click shows it."""

    DEFAULT_CSS = """
    TabName { width: auto; padding: 0 1; color: $text-muted; }
    TabName:hover { color: $foreground; background: $panel; }
    TabName.-active { color: $accent; text-style: bold; background: $surface; }
    """

    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self, number: int, pane: str, title: str) -> None:
        super().__init__(Content.assemble((f"{number} ", "dim"), title), id=f"tab-{pane}")
        self.pane = pane

    async def on_click(self, event: Click) -> None:
        """Show the pane."""
        event.stop()
        await cast("Frame", self.app).show_pane(self.pane)


class TopBar(Horizontal):
    """The line."""

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    TopBar { height: 1; background: $background; }
    TopBar #brand { width: auto; padding: 0 1; color: $primary; text-style: bold; }
    TopBar #node { width: 1fr; text-align: right; padding: 0 1; color: $text-muted;
        text-wrap: nowrap; text-overflow: ellipsis; }
    .-narrow TopBar #brand { display: none; }
    """

    def __init__(self, panes: dict[str, str]) -> None:
        super().__init__()
        self._panes = panes

    def compose(self) -> ComposeResult:
        """The brand, the names, the node."""
        yield Static("aiplat", id="brand")
        for number, (pane, title) in enumerate(self._panes.items(), 1):
            yield TabName(number, pane, title)
        yield Steady(id="node")

    def activate(self, pane: str) -> None:
        """Mark the pane that is shown."""
        for tab in self.query(TabName):
            tab.set_class(tab.pane == pane, "-active")

    def show(self, world: World) -> None:
        """Say how the node is."""
        line = self.query_one("#node", Static)
        line.update(node_words(world, self.app.size.width - 50))


def node_words(world: World, cells: int) -> Content:
    """The node in few words, for so many cells: network, peers, how it is."""
    status = world.status
    if world.phase != "attached" or status is None:
        words, style = {
            "looking": ("looking for the node", "$warning"),
            "starting": ("the node starts", "$warning"),
            "lost": ("the node is gone", "$error"),
            "failed": ("the node did not start", "$error"),
            "attached": ("", ""),
        }[world.phase]
        return Content.assemble(("● ", style), cut(words, max(4, cells - 2)))
    connected = sum(peer.state == "connected" for peer in status.peers)
    usable = sum(model.is_usable for model in status.models)
    parts = [flat(status.network.name) if status.network else "no network"]
    if status.network is not None or connected:
        parts.append(f"{connected} peer{'' if connected == 1 else 's'}")
    if usable or (status.models and "gateway" in status.roles):
        parts.append(f"{usable} model{'' if usable == 1 else 's'}")
    if status.active:
        parts.append(f"{status.active} running")
    if status.drained or status.state != "ready":
        style, parts = "$warning", ["drained" if status.drained else status.state, *parts]
    else:
        loading = any(model.state == "loading" for model in status.models) and not usable
        style = "$warning" if loading else "$success"
        if loading:
            parts = ["the model loads", *parts]
    while len(parts) > 1 and len(" · ".join(parts)) + 2 > cells:
        parts.pop()
    return Content.assemble(("● ", style), cut(" · ".join(parts), max(4, cells - 2)))
