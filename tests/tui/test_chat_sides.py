"""The list of conversations, the choice of model and peer, and the rail, where things go wrong."""

from __future__ import annotations

import msgspec
import pytest
from rich.cells import cell_len
from textual.widgets import Input, OptionList

from aiplat.control.history import HistoryList
from aiplat.control.messages import ModelList, ModelStatus, PeerList, PeerStatus
from aiplat.domain.conversations import ConversationSettings
from aiplat.domain.errors import NotReady
from aiplat.tui.app import AiplatApp
from aiplat.tui.chat.pane import ChatPane
from aiplat.tui.chat.picker import Offer, _gateway, _row, offers
from aiplat.tui.chat.rail import WIDTH, rail_text
from aiplat.tui.chat.sidebar import Sidebar
from tests.support.screens import (
    PEER,
    ScriptedLink,
    app_of,
    drive,
    running,
    status,
    text_of,
    until,
)
from tests.tui.test_chat import kept, listed

CHOSEN = ConversationSettings(
    model="large", peer=f"/ip4/192.0.2.9/tcp/4001/p2p/{PEER[:-1]}2", privacy="network"
)


def chat(app: AiplatApp) -> ChatPane:
    assert isinstance(app.pane, ChatPane)
    return app.pane


@pytest.mark.parametrize("models", [NotReady("busy"), ModelList(models=())])
def test_what_was_chosen_stays_so_when_nobody_offers_it_now(models: object) -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(models=models, peers=PeerList(peers=())))
        async with running(app, (100, 34)) as pilot:
            chat(app).talk.set(CHOSEN)
            await pilot.press("ctrl+o")
            await until(pilot, lambda: "Who can read" in text_of(app), "the choice")
            assert text_of(app).count("not there now") == 2
            await pilot.press("ctrl+s")
            await until(pilot, lambda: len(app.screen_stack) == 1, "it is closed")
            assert chat(app).talk.conversation.settings == CHOSEN

    drive(test)


def test_a_model_that_cannot_be_used_now_stays_chosen() -> None:
    async def test() -> None:
        models = ModelList(models=(
            ModelStatus(name="small", state="ready", slots=8),
            ModelStatus(name="large", state="failed", note="no memory"),
        ))  # fmt: skip
        app = app_of(ScriptedLink(models=models))
        async with running(app, (100, 34)) as pilot:
            chat(app).talk.set(CHOSEN)
            await pilot.press("ctrl+o")
            await until(pilot, lambda: "Who can read" in text_of(app), "the choice")
            assert app.screen.query_one("#models", OptionList).highlighted == 2
            await pilot.press("ctrl+s")
            await until(pilot, lambda: len(app.screen_stack) == 1, "it is closed")
            assert chat(app).talk.conversation.settings == CHOSEN

    drive(test)


def test_a_list_that_may_be_old_says_why() -> None:
    async def test() -> None:
        link = ScriptedLink()
        link.says["history:list"] = listed(kept("Old one"))
        app = app_of(link)
        async with running(app) as pilot:
            await until(pilot, lambda: "Old one" in text_of(app), "it is listed")
            link.says["history:list"] = NotReady("Its disk is full.")
            chat(app).reload()
            await until(pilot, lambda: "Its disk is full" in text_of(app), "it is said")
            assert "Old one" in text_of(app)
            link.says["history:list"] = listed(kept("Old one"))
            chat(app).reload()
            await until(pilot, lambda: "Its disk" not in text_of(app), "it is over")

    drive(test)


def test_words_are_searched_for_once_no_key_comes() -> None:
    async def test() -> None:
        link = ScriptedLink()
        link.says["history:list"] = HistoryList(conversations=())
        app = app_of(link)
        async with running(app) as pilot:
            await until(pilot, lambda: link.of("history:list"), "it is listed")
            before = len(link.of("history:list"))
            line = app.screen.query_one(Sidebar).query_one("#search", Input)
            line.focus()
            for end in range(1, 8):  # at once: a busy machine may pause as long as a person does
                line.value = "because"[:end]
            await until(pilot, lambda: link.of("history:list")[-1].search, "it is searched")
            assert {wish.search for wish in link.of("history:list")[before:]} <= {"", "because"}
            line.value = "be"
            await pilot.pause()
            await pilot.press("enter")
            await until(pilot, lambda: link.of("history:list")[-1].search == "be", "Enter")

    drive(test)


OTHER = PeerStatus(
    peer_id=f"{PEER[:-1]}2", roles=("gateway", "processor"), models=("large",), path="direct",
    address=CHOSEN.peer, latency_ms=3.2, slots=8, running=7, waiting=2, tokens_per_second=30.0,
    measured_tokens_per_second=42.0,
)  # fmt: skip


def test_a_speed_is_the_fastest_ones_this_machines_with_them() -> None:
    models = (
        ModelStatus(name="small", state="ready", processors=1, slots=8),
        ModelStatus(name="large", state="ready", processors=2, slots=8),
        ModelStatus(name="far", state="ready", processors=1, slots=8),
    )
    far = msgspec.structs.replace(OTHER, models=("large", "far"))
    own = msgspec.structs.replace(OTHER, peer_id=PEER, models=("far",))

    def found(speeds: dict[str, float]) -> list[tuple[str, str]]:
        made = offers(models, [far, own], PEER, speeds=speeds)
        return [(offer.speed, offer.where) for offer in made[1:]]

    at = OTHER.peer_id[-8:]
    assert found({}) == [("", "here"), ("42 tok/s", f"here, {at}"), ("42 tok/s", at)]
    fast = found({"small": 55.4, "large": 61.0, "far": 99.0})
    assert [speed for speed, _ in fast] == ["55 tok/s", "61 tok/s", "42 tok/s"], (
        "what is not here now has no speed of this machine's"
    )
    assert [speed for speed, _ in found({"large": 12.0})] == ["", "42 tok/s", "42 tok/s"]


def test_a_model_that_only_makes_vectors_is_no_choice() -> None:
    models = (
        ModelStatus(name="vectors", state="ready", processors=1, slots=8, can=("embed",)),
        ModelStatus(name="both", state="ready", processors=1, slots=8, can=("generate", "embed")),
    )
    assert [offer.name for offer in offers(models, [], PEER)] == ["", "both"]


@pytest.mark.parametrize("room", [49, 76])
def test_a_gateways_load_and_speed_stand_below_those_of_the_models(room: int) -> None:
    line = _gateway(OTHER, room).plain
    assert line.split() == [OTHER.peer_id[-8:], "(direct,", "3", "ms)", "7/8", "+2", "42", "tok/s"]
    model = _row(Offer("a", "ready", "7/8 +2", "42 tok/s", "here"), room).plain
    assert [line.index(word) for word in ("7/8", "42")] == [
        model.index(word) for word in ("7/8", "42")
    ]
    assert cell_len(line) <= room
    announced = msgspec.structs.replace(OTHER, measured_tokens_per_second=None, waiting=0)
    assert _gateway(announced, room).plain.split()[4:] == ["7/8", "30", "tok/s"]
    alone = PeerStatus(peer_id=PEER, roles=("gateway",), path="relayed")
    assert _gateway(alone, room).plain == f"{PEER[-8:]} (relayed)"
    assert _gateway("any that is there", room).plain == "any that is there"


def test_the_choice_shows_what_gateways_have_to_do() -> None:
    async def test() -> None:
        models = ModelList(models=(
            ModelStatus(name="large", state="ready", processors=1, slots=8, running=7, waiting=2),
        ))  # fmt: skip
        app = app_of(ScriptedLink(models=models, peers=PeerList(peers=(OTHER,))))
        async with running(app, (60, 34)) as pilot:
            await pilot.press("ctrl+o")
            await until(pilot, lambda: "Who can read" in text_of(app), "the choice")
            for words in ("● large", "(direct, 3 ms)"):
                [line] = [line for line in text_of(app).splitlines() if words in line]
                assert "7/8 +2" in line and "42 tok/s" in line

    drive(test)


def test_wide_names_keep_the_columns() -> None:
    offers = [Offer(name, "ready", "1/4", "55 tok/s", "here") for name in ("漢字" * 3, "a", "é")]
    columns = {cell_len(_row(offer, 78).plain.partition("ready")[0]) for offer in offers}
    assert len(columns) == 1
    models = tuple(ModelStatus(name=name, state="ready", slots=4) for name in ("漢字" * 20, "a"))
    lines = rail_text(status(models=models), [], 0).plain.split("\n")
    assert {cell_len(line) for line in lines if line.startswith("●")} == {WIDTH - 4}
