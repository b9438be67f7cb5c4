"""The pane Peers, driven as a person would: first what the node was asked, then what is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Button, Input

from aiplat.control.calls import Call
from aiplat.control.faults import NodeLost
from aiplat.control.messages import (
    Done,
    DrainWish,
    InviteRequest,
    JoinRequest,
    NetworkCreate,
    NetworkStatus,
    PeerList,
    PeerName,
    ReachStatus,
    ShareTerms,
    ShareWish,
)
from aiplat.domain.errors import InvalidRequest, NoPeer
from aiplat.tui.app import AiplatApp
from aiplat.tui.peers.detail import Detail, DetailScreen
from aiplat.tui.peers.doctor import DoctorScreen
from aiplat.tui.peers.invited import Code, Invited
from aiplat.tui.peers.pane import PeersPane
from aiplat.tui.peers.working import Working
from aiplat.tui.table import LiveTable
from tests.support.peers_scene import (
    FAST,
    HOSTILE,
    OUT,
    PEERS,
    RELAYED,
    SHARE,
    TOKEN,
    lonely_link,
    network_link,
    node,
)
from tests.support.screens import (
    Copies,
    ScriptedLink,
    StillClock,
    app_of,
    drive,
    each_look,
    looks_as,
    picture,
    prefer,
    running,
    seen,
    text_of,
    until,
)

Scene = Callable[[AiplatApp, Pilot[None]], Awaitable[None]]


def play(
    link: ScriptedLink, scene: Scene, *, size: tuple[int, int] = (100, 30), **more: Any
) -> None:
    """Show the pane, and let a person do the scene."""

    async def test() -> None:
        app = app_of(link, **more)
        async with running(app, size, "peers") as pilot:
            await until(pilot, lambda: link.of("series"), "it asked for all")
            await pilot.pause()
            await scene(app, pilot)

    drive(test)


def pane_of(app: AiplatApp) -> PeersPane:
    return app.screen_stack[0].query_one(PeersPane)


async def choose(app: AiplatApp, pilot: Pilot[None], peer: str) -> None:
    """Put the cursor on a peer."""
    table = pane_of(app).query_one("#all", LiveTable)
    for _ in range(len(PEERS) + 1):
        if table.current is not None and table.current.key == peer:
            await pilot.pause()
            return
        await pilot.press("down")
    raise AssertionError(f"{peer} is not in the table")


async def shown(app: AiplatApp, pilot: Pilot[None], kind: type[Any]) -> Any:
    await until(pilot, lambda: isinstance(app.screen, kind), f"{kind.__name__} is shown")
    await pilot.pause()
    return app.screen


async def box(app: AiplatApp, pilot: Pilot[None]) -> None:
    await until(pilot, lambda: len(app.screen_stack) == 2, "a box is shown")
    await pilot.pause()


def notes(app: AiplatApp) -> str:
    """What a person was told in the corner."""
    return "\n".join(note.message for note in app._notifications)


def order(app: AiplatApp) -> list[str]:
    return [row.key for row in pane_of(app).query_one("#all", LiveTable)._seen]


# -- the table -----------------------------------------------------------------------------------


def test_it_asks_for_peers_and_share_and_figures_and_shows_them() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        assert link.of("peers") and len(link.of("share")) == 1
        assert [(ask.by, ask.role) for ask in link.of("series")] == [("peer", "gateway")] * 2
        text = text_of(app)
        for words in ("this node", "…BbBbFast", "qwen3-8b", "5/32", "58", "(17)", "Nobody answers",
                      "✕ blocked", "▲ draining", "paused by its", "310 requests"):  # fmt: skip
            assert words in text

    play(link, scene)


def test_share_and_figures_are_asked_for_now_and_then_only() -> None:
    link, clock = network_link(), StillClock()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        before = len(link.of("peers"))
        pane_of(app).reload()
        await until(pilot, lambda: len(link.of("peers")) > before, "it asked again")
        assert len(link.of("share")) == 1 and len(link.of("series")) == 2
        clock.advance(31)
        pane_of(app).reload()
        await until(pilot, lambda: len(link.of("series")) == 4, "it asked for the figures again")
        assert len(link.of("share")) == 2

    play(link, scene, clock=clock)


def test_this_node_stays_first_whatever_it_is_sorted_by() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        first = order(app)[0]
        table = pane_of(app).query_one("#all", LiveTable)
        table.sort_by("speed")
        assert order(app)[:3] == [first, FAST, RELAYED]
        await pilot.press("S")
        await until(pilot, lambda: order(app)[-1] == FAST, "it is the other way round")
        assert order(app)[0] == first and order(app)[-2] == RELAYED

    play(link, scene)


def test_a_filter_leaves_what_holds_it() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"qwen", "enter")
        await pilot.pause()
        assert order(app) == [FAST]
        await pilot.press("escape")
        await pilot.pause()
        assert len(order(app)) == 6

    play(link, scene)


def test_a_fault_is_told_and_what_was_there_stays() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        link.says["peers"] = NodeLost("The node says strange things.")
        pane_of(app).reload()
        await until(pilot, lambda: "The node says strange things." in text_of(app), "it is told")
        assert "…BbBbFast" in text_of(app)
        link.says["peers"] = PeerList(peers=PEERS[:1])
        pane_of(app).reload()
        await until(pilot, lambda: "strange" not in text_of(app), "it is gone")
        assert order(app)[1:] == [FAST]

    play(link, scene)


def test_what_is_not_told_says_why() -> None:
    link = network_link(peers=NodeLost("The node says strange things."))

    async def test() -> None:
        app = app_of(link)
        async with running(app, (100, 30), "peers") as pilot:
            await until(pilot, lambda: "The node could not tell" in text_of(app), "it is told")
            assert "Asking the node" not in text_of(app)

    drive(test)


def test_a_node_that_was_started_anew_is_asked_for_its_own_figures() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(link.of("series")) == 2, "they were asked for")
        link.says["status"] = node(pid=77)
        app.world.look_now()
        await until(pilot, lambda: app.world.lives == 2, "another is there")
        pane_of(app).reload()
        await until(pilot, lambda: len(link.of("series")) == 4, "it asked anew")

    play(link, scene)


def test_members_are_asked_for_rarely() -> None:
    link, clock = network_link(), StillClock()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await pilot.press("m")
        await until(pilot, lambda: link.of("network/members"), "it asked")
        for seconds, times in ((1, 1), (30, 2)):
            clock.advance(seconds)
            await pane_of(app).load()
            assert len(link.of("network/members")) == times

    play(link, scene, clock=clock)


def test_figures_that_cannot_be_had_say_so_and_the_rest_is_shown() -> None:
    link = network_link(series=NodeLost("The disk is slow."))

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "No figures: The disk is slow." in text_of(app), "it is told")
        assert "…BbBbFast" in text_of(app)

    play(link, scene, size=(160, 42))


def test_troubles_are_lines_above_the_table() -> None:
    status = node(
        turned_away=("…AwayPeer: it blocks this node",),
        network=NetworkStatus(name="lab", key="", searching="No member was found yet."),
        reach=ReachStatus(state="unreachable", why="behind a NAT"),
    )
    link = network_link(status=status)

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        text = text_of(app)
        for words in ("▲ turned away by …AwayPeer", "▲ No member was found yet.",
                      "▲ unreachable: behind a NAT", "✕ not reached from outside"):  # fmt: skip
            assert words in text

    play(link, scene)


# -- the detail ----------------------------------------------------------------------------------


def test_a_wide_screen_shows_the_detail_of_the_row_beside_the_table() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await choose(app, pilot, FAST)
        text = text_of(app)
        assert "58.4 tok/s measured here" in text and "42 requests" in text and "▆" in text
        await pilot.press("enter")
        assert isinstance(app.focused, Detail) and len(app.screen_stack) == 1

    play(link, scene, size=(160, 42))


def test_enter_shows_the_detail_and_it_follows_what_happens() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await choose(app, pilot, RELAYED)
        await pilot.press("enter")
        await shown(app, pilot, DetailScreen)
        text = text_of(app)
        assert FAST in text and "relayed by" in text and "paused by its owner" in text
        link.says["peers"] = PeerList(peers=(replace(PEERS[1], note="", state="connected"),))
        pane_of(app).reload()
        await until(pilot, lambda: "● connected" in text_of(app), "it is as it is now")
        await pilot.press("escape")
        assert len(app.screen_stack) == 1

    play(link, scene)


def test_what_is_chosen_in_the_detail_is_done() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await choose(app, pilot, FAST)
        await pilot.press("enter")
        await shown(app, pilot, DetailScreen)
        await pilot.press("d")
        await until(pilot, lambda: link.of("drain"), "it is drained")
        assert link.of("drain") == [DrainWish(peer=FAST)]

    play(link, scene)


@pytest.mark.parametrize("size", [(160, 42), (60, 18)])
def test_hostile_words_break_nothing(size: tuple[int, int]) -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await choose(app, pilot, HOSTILE)
        if size[0] < 140:
            await pilot.press("enter")
            await shown(app, pilot, DetailScreen)
        text = text_of(app)
        assert "[red]evil[/red]" in text and "owned" not in text.replace("owned by", "")
        assert not any(sign in text for sign in "\x1b\x07\x9b\u202e")

    play(link, scene, size=size)


# -- with a peer ---------------------------------------------------------------------------------


def test_drain_and_undrain_a_processor_and_this_node() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await pilot.press("d")
        await until(pilot, lambda: link.of("drain"), "this node is drained")
        link.says["status"] = node(drained=True, state="draining")
        app.world.look_now()
        await until(pilot, lambda: "▲ drained" in text_of(app), "it is seen")
        await pilot.press("d")
        await until(pilot, lambda: len(link.of("drain")) == 2, "no more")
        await choose(app, pilot, RELAYED)
        await pilot.press("d")
        await until(pilot, lambda: len(link.of("drain")) == 3, "the other one")
        assert link.of("drain") == [
            DrainWish(peer=""), DrainWish(peer="", off=True), DrainWish(peer=RELAYED, off=True)
        ]  # fmt: skip

    play(link, scene)


def test_block_asks_first_and_unblock_does_not() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await choose(app, pilot, FAST)
        await pilot.press("b")
        await box(app, pilot)
        await pilot.press("escape")
        await pilot.press("b")
        await box(app, pilot)
        assert not link.of("block")
        await pilot.click("#yes")
        await until(pilot, lambda: link.of("block"), "it is blocked")
        assert link.of("block") == [PeerName(peer=FAST)]
        await until(pilot, lambda: "BbBbFast is shut out. b lets it" in text_of(app), "it is told")
        await choose(app, pilot, OUT)
        await pilot.press("b")
        await until(pilot, lambda: link.of("unblock"), "it is let in")
        assert link.of("unblock") == [PeerName(peer=OUT)]

    play(link, scene)


def test_revoking_is_confirmed_by_the_end_of_the_id() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await choose(app, pilot, FAST)
        await pilot.press("R")
        await box(app, pilot)
        await pilot.press(*"wrong", "enter")
        assert app.screen.query_one("#yes", Button).disabled and not link.of("network/revoke")
        app.screen.query_one(Input).value = FAST[-8:]
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: link.of("network/revoke"), "it is revoked")
        assert link.of("network/revoke") == [PeerName(peer=FAST)]

    play(link, scene)


def test_keys_that_make_no_sense_do_nothing_and_are_not_shown() -> None:
    link = network_link(status=node(network=NetworkStatus(name="lab", key=""), roles=("client",)))

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await choose(app, pilot, FAST)
        await pilot.press("R", "d", "i", "m", "n", "j")
        await pilot.pause()
        assert len(app.screen_stack) == 1 and not link.of("drain")
        keys = {active.binding.id for active in app.screen.active_bindings.values()}
        assert not keys & {"peers.revoke", "peers.drain", "peers.invite", "peers.create"}
        assert {"peers.block", "peers.doctor", "peers.leave"} <= keys
        assert pane_of(app).why_off("revoke") == "on the owner's node only"

    play(link, scene)


def test_a_refusal_is_told() -> None:
    link = network_link(drain=InvalidRequest("Only a gateway places requests."))

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await pilot.press("d")
        await until(pilot, lambda: "Only a gateway places" in notes(app), "it is told")

    play(link, scene)


# -- members -------------------------------------------------------------------------------------


def test_members_are_a_second_view_and_can_be_revoked_there() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        assert not link.of("network/members")
        await pilot.press("m")
        await until(pilot, lambda: "2026-12-25" in text_of(app), "they are shown")
        assert link.of("network/members")
        assert "✕ revoked" in text_of(app) and "(over)" in text_of(app)
        await pilot.press("R")  # this node itself
        assert len(app.screen_stack) == 1
        await pilot.press("down", "R")
        await box(app, pilot)
        app.screen.query_one(Input).value = FAST[-8:]
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: link.of("network/revoke") == [PeerName(peer=FAST)], "revoked")
        await pilot.press("m")
        await until(pilot, lambda: "this node" in text_of(app), "the peers are shown again")

    play(link, scene)


# -- inviting, joining, making, leaving ----------------------------------------------------------


def test_an_invitation_is_made_shown_copied_and_drawn() -> None:
    link, copies = network_link(), Copies()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await pilot.press("i")
        await box(app, pilot)
        app.screen.query_one("#field-uses", Input).value = "3"
        await pilot.click("#yes")
        await shown(app, pilot, Invited)
        assert link.of("network/invite") == [
            InviteRequest(roles=("client", "processor"), expires_seconds=86_400, uses=3)
        ]
        assert "until 2026-11-27" in text_of(app)
        await pilot.press("c")
        await until(pilot, lambda: copies.texts == [TOKEN], "it is copied")
        await pilot.press("q")
        await shown(app, pilot, Code)
        assert "█▀" in text_of(app)
        await pilot.press("escape", "escape")
        await until(pilot, lambda: len(app.screen_stack) == 1, "all is closed")

    play(link, scene, size=(160, 42), copies=copies)


def test_a_code_that_does_not_fit_says_what_it_needs() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await pilot.press("i")
        await box(app, pilot)
        await pilot.click("#yes")
        await shown(app, pilot, Invited)
        await pilot.press("q")
        await until(pilot, lambda: "columns and" in notes(app), "it is told")
        assert isinstance(app.screen, Invited)

    play(link, scene, size=(60, 18))


def test_an_invitation_that_is_refused_keeps_what_was_typed() -> None:
    link = network_link(**{"network/invite": InvalidRequest("Nobody could come by it.")})

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await pilot.press("i")
        await box(app, pilot)
        app.screen.query_one("#field-expires", Input).value = "soon"
        app.screen.query_one("#yes", Button).press()
        await pilot.pause()
        assert "no span of time" in text_of(app) and not link.of("network/invite")
        app.screen.query_one("#field-expires", Input).value = "7d"
        app.screen.query_one("#yes", Button).press()
        await until(pilot, lambda: "Nobody could come" in notes(app), "it is told")
        await box(app, pilot)
        assert app.screen.query_one("#field-expires", Input).value == "7d"

    play(link, scene)


class SlowLink(ScriptedLink):
    """A node of which some answers take as long as the test says."""

    slow: frozenset[str] = frozenset()

    def hold(self, *names: str) -> None:
        self.slow = frozenset(f"/control/{name}" for name in names)
        self.free = asyncio.Event()

    async def call(self, call: Call[Any]) -> Any:
        reply = await super().call(call)
        if call.path in self.slow:
            await self.free.wait()
        return reply


async def typed_token(app: AiplatApp, pilot: Pilot[None]) -> None:
    await pilot.press("j")
    await box(app, pilot)
    line = app.screen.query_one("#field-token", Input)
    assert line.password
    line.value = "aiplat1-abc"
    await pilot.press("enter")


def test_joining_shows_that_it_works_and_for_how_long() -> None:
    link, clock = SlowLink(**lonely_link().says), StillClock()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        link.hold("network/join")
        await typed_token(app, pilot)
        working = await shown(app, pilot, Working)
        assert link.of("network/join") == [JoinRequest(token="aiplat1-abc")]
        assert "Asking the owner's node" in text_of(app)
        clock.advance(12)
        working._tick()
        await pilot.pause()
        assert "12 s; it may take up to 150 s" in text_of(app)
        assert "aiplat1-abc" not in text_of(app)
        link.says["status"] = node()
        link.free.set()
        await until(pilot, lambda: len(app.screen_stack) == 1, "it is done")
        await until(pilot, lambda: "is a member of the" in notes(app), "it is told")

    play(link, scene, clock=clock)


def test_joining_can_be_left_and_is_told_all_the_same() -> None:
    link = SlowLink(**lonely_link().says)

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        link.hold("network/join")
        await typed_token(app, pilot)
        await shown(app, pilot, Working)
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1, "it is left")
        link.free.set()
        await until(pilot, lambda: "is a member of the" in notes(app), "it is told")

    play(link, scene)


def test_a_join_that_fails_says_why_where_it_was_waited_for() -> None:
    link = lonely_link(**{"network/join": NoPeer("Nobody answered at 192.0.2.9 within 10 s.")})

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await typed_token(app, pilot)
        await until(pilot, lambda: "✕ Nobody answered" in text_of(app), "it is told")
        assert isinstance(app.screen, Working)
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1, "it is closed")

    play(link, scene)


def test_after_a_join_a_background_node_that_ends_is_started_again() -> None:
    started: list[int] = []
    link = lonely_link()

    def join(wish: object) -> Done:
        link.says["status"] = node(state="draining", network=None)
        return Done(message="A member now. The node in the background ends.")

    def start(say: object) -> None:
        started.append(1)
        link.says["status"] = node(pid=4343)

    link.says["network/join"] = join

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await typed_token(app, pilot)
        await until(pilot, lambda: app.world.status and app.world.status.state == "draining",
                    "it ends")  # fmt: skip
        link.vanish()
        await until(pilot, lambda: started, "it is started again")
        await until(pilot, lambda: app.world.is_attached, "it is there")
        await until(pilot, lambda: "owned by this node" in text_of(app), "it is in the network")

    play(link, scene, start=start)
    assert started == [1]


def test_a_network_is_made_by_its_name() -> None:
    link = lonely_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await pilot.press("n")
        await box(app, pilot)
        await pilot.press("enter")
        await pilot.pause()
        assert "Give the network a name" in text_of(app) and not link.of("network/create")
        app.screen.query_one("#field-name", Input).value = "home"
        await pilot.click("#yes")
        await until(pilot, lambda: link.of("network/create"), "it is made")
        assert link.of("network/create") == [NetworkCreate(name="home")]

    play(link, scene)


def test_leaving_is_confirmed_by_the_networks_name() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await pilot.press("L")
        await box(app, pilot)
        assert "within 30 days" in " ".join(text_of(app).split())
        await pilot.press("enter")
        assert not link.of("network/leave")
        await pilot.press(*"lab", "enter")
        await until(pilot, lambda: link.of("network/leave"), "it is left")

    play(link, scene)


def test_without_a_network_a_click_on_the_words_does_it() -> None:
    link = lonely_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        lines = text_of(app).splitlines()
        y = next(n for n, line in enumerate(lines) if "join one, by a token" in line)
        await pilot.click(offset=(lines[y].index("join one"), y))
        await box(app, pilot)
        assert app.screen.query("#field-token")

    play(link, scene)


# -- sharing, the doctor -------------------------------------------------------------------------


def test_sharing_is_paused_resumed_and_paused_at_once() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        link.says["share"] = lambda wish: Done(message="ok") if wish else SHARE
        await pilot.press("p")
        await until(pilot, lambda: ShareWish(pause=True) in link.of("share"), "it is paused")
        await pilot.press("P")
        await box(app, pilot)
        await pilot.click("#yes")
        now = ShareWish(pause=True, now=True)
        await until(pilot, lambda: now in link.of("share"), "it is paused at once")
        paused = replace(SHARE, state="paused", terms=ShareTerms(paused=True), reason="paused")
        link.says["status"] = node(share=paused)
        app.world.look_now()
        await until(pilot, lambda: "p resume" in text_of(app), "it is seen")
        await pilot.press("p")
        await until(pilot, lambda: ShareWish(pause=False) in link.of("share"), "it is resumed")

    play(link, scene)


def test_terms_are_changed_and_what_is_refused_can_be_mended() -> None:
    link = network_link()
    refusals = [InvalidRequest("The hours 'late' are none.")]

    def share(wish: ShareWish | None) -> Any:
        if wish is None:
            return SHARE
        return refusals.pop() if refusals else Done(message="Others may ask.")

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        link.says["share"] = share
        await pilot.press("t")
        await box(app, pilot)
        app.screen.query_one("#field-hours", Input).value = "late"
        await pilot.click("#yes")
        await until(pilot, lambda: "The hours 'late'" in notes(app), "it is refused")
        await box(app, pilot)
        assert app.screen.query_one("#field-hours", Input).value == "late"
        app.screen.query_one("#field-hours", Input).value = "20-06"
        app.screen.query_one("#field-memory", Input).value = ""
        await pilot.click("#yes")
        await until(pilot, lambda: len(app.screen_stack) == 1, "it is done")
        assert [wish for wish in link.of("share") if wish] == [
            ShareWish(hours="late"), ShareWish(hours="20-06", max_memory="none")
        ]  # fmt: skip

    play(link, scene)


def test_the_doctor_looks_and_says_what_to_do() -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await pilot.press("D")
        await shown(app, pilot, DoctorScreen)
        await until(pilot, lambda: "→ Forward its port" in text_of(app), "it is told")
        assert "✓ model" in text_of(app) and "✕ addresses" in text_of(app)
        link.says["doctor"] = NodeLost("The node is frozen.")
        await pilot.press("r")
        await until(pilot, lambda: "✕ The node is frozen." in text_of(app), "it is told")
        assert len(link.of("doctor")) == 2 and "r looks again" in text_of(app)
        await pilot.press("escape")
        assert len(app.screen_stack) == 1

    play(link, scene)


# -- pictures ------------------------------------------------------------------------------------


async def settled(app: AiplatApp, pilot: Pilot[None], words: str) -> None:
    """Wait until these words are drawn, with all that is around them, and nothing changes."""

    def whole() -> bool:
        lines = seen(app)
        return bool(lines[0] and lines[-1]) and any(words in line for line in lines)

    await until(pilot, whole, f"{words!r} is drawn")
    same, before = 0, ""
    while same < 3:
        await pilot.pause(0.05)
        same, before = (same + 1 if (now := picture(app)) == before else 0), now


VIEWS = (
    ("peers", ("down",), "b Block", ()),
    ("peers-detail", ("enter",), "58.4 tok/s", ("escape",)),
    ("peers-members", ("m",), "certificate", ("m",)),
    ("peers-doctor", ("D",), "1 of 5 steps", ("escape",)),
    ("peers-invite", ("i",), "Make the token", ("escape",)),
)


@each_look()
def test_pictures(size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    link = network_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        for name, there, words, back in VIEWS:
            await pilot.press(*there)
            await settled(app, pilot, words if size[0] > 100 else words.removeprefix("b Block"))
            await looks_as(pilot, f"{name}-{size[0]}x{size[1]}-{look}")
            await pilot.press(*back)

    play(link, scene, size=size, preferences=prefer(look, monkeypatch))


@each_look()
def test_pictures_without_a_network(
    size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = lonely_link()

    async def scene(app: AiplatApp, pilot: Pilot[None]) -> None:
        await settled(app, pilot, "A network is")
        await looks_as(pilot, f"peers-alone-{size[0]}x{size[1]}-{look}")

    play(link, scene, size=size, preferences=prefer(look, monkeypatch))
