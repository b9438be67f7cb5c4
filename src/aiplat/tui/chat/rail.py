"""At the right of a wide screen: who is there, how loaded, how fast."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from aiplat.control.messages import PeerStatus, Status
from aiplat.tui.steady import Steady
from aiplat.tui.text import amount, cut, filled, flat, short_peer, speed

WIDTH = 32


class Rail(VerticalScroll, can_focus=False):
    """The rail; it is shown at 140 columns and more."""

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    Rail { width: 32; display: none; border-left: vkey $border-blurred; padding: 0 1;
        scrollbar-size-vertical: 1; }
    .-wide Rail { display: block; }
    """

    def compose(self) -> ComposeResult:
        """One text."""
        yield Steady(id="rail-text")

    def show(self, status: Status | None, speeds: list[float], running: int) -> None:
        """Show the network, and the speed of the last answers."""
        self.query_one("#rail-text", Static).update(rail_text(status, speeds, running))


def rail_text(status: Status | None, speeds: list[float], running: int) -> Content:
    """What stands there."""
    room = WIDTH - 4
    lines: list[Content] = [Content.styled("Speed", "bold $text-muted")]
    if speeds:
        last = f"{speed(speeds[-1]):>6} tok/s"
        lines.append(Content.assemble((last, "$success"), "  last answer"))
        lines.append(Content.styled(spark(speeds[-room:]), "$primary"))
    else:
        lines.append(Content.styled("no answer yet", "$text-muted"))
    if running:
        lines.append(Content.assemble(("◉ ", "$success"), f"{running} under way"))
    if status is None:
        return Content("\n").join(lines)
    lines += [Content(""), Content.styled("Models", "bold $text-muted")]
    for model in status.models[:8]:
        good = model.state == "ready"
        sign = ("● ", "$success") if good else ("◌ ", "$warning")
        if model.state == "failed":
            sign = ("✕ ", "$error")
        state = f"{model.running}/{model.slots}" if good else model.state
        lines.append(_row(sign, flat(model.name), state, room))
    if not status.models:
        lines.append(Content.styled("none known here", "$text-muted"))
    lines += [Content(""), Content.styled("Peers", "bold $text-muted")]
    peers = [peer for peer in status.peers if peer.state != "blocked"]
    for peer in peers[:12]:
        lines.append(_peer(peer, room))
    if not peers:
        lines.append(Content.styled("only this machine", "$text-muted"))
    if len(peers) > 12:
        lines.append(Content.styled(f"and {len(peers) - 12} more", "$text-muted"))
    return Content("\n").join(lines)


def _peer(peer: PeerStatus, room: int) -> Content:
    good = peer.state == "connected"
    sign = ("● ", "$success") if good else ("◌ ", "$warning")
    roles = "".join(role[0] for role in peer.roles)
    name = f"{short_peer(peer.peer_id)} {roles}".strip()
    rate = peer.measured_tokens_per_second or peer.tokens_per_second
    state = peer.state if not good else f"{amount(rate)} tok/s" if rate else (
        f"{peer.latency_ms:.0f} ms" if peer.latency_ms is not None else ""
    )  # fmt: skip
    return _row(sign, name, state, room)


def _row(sign: tuple[str, str], name: str, state: str, room: int) -> Content:
    left = max(5, room - cell_len(state) - len(sign[0]))
    name = filled(cut(name, left - 1), left)
    return Content.assemble(sign, name, (state, "$text-muted"))


def spark(values: list[float]) -> str:
    """A line of bars, each as high as its value beside the greatest."""
    bars = "▁▂▃▄▅▆▇█"
    top = max(values, default=0.0)
    return "".join(bars[min(7, int(8 * value / top))] if top > 0 else bars[0] for value in values)
