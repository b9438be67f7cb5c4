"""The card of the first run, and the models."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from textual.events import Key
from textual.keys import _character_to_key
from textual.widgets import Input, OptionList

from aiplat.control.machine import KnownModel, Pull, PullWish, ServeWish, Shelf
from aiplat.control.messages import (
    Done,
    ModelList,
    ModelName,
    ModelStatus,
    NetworkStatus,
    ShareStatus,
    ShareTerms,
    ShareWish,
)
from aiplat.domain.errors import InvalidRequest
from aiplat.tui.app import AiplatApp
from aiplat.tui.chat.pane import ChatPane
from aiplat.tui.dialogs import Confirm
from aiplat.tui.models.chooser import ModelsScreen
from aiplat.tui.models.words import Item, items_of, notes_of, progress, state_of
from aiplat.tui.preferences import Preferences
from aiplat.tui.welcome import words
from aiplat.tui.welcome.card import WelcomeCard
from aiplat.tui.world import World
from tests.support.screens import (
    ScriptedLink,
    StillClock,
    app_of,
    drive,
    each_look,
    looks_as,
    prefer,
    running,
    settled,
    status,
    text_of,
    until,
)
from tests.tui.test_logs import Log

GIB = 1 << 30
SMALL = KnownModel(name="smollm2-135m", bytes=91 << 20, here=True, served=True)
HERE = KnownModel(name="org/mid-1b", bytes=2 * GIB, here=True)
THERE = KnownModel(name="org/small", bytes=GIB)
BIG = KnownModel(name="org/big-70b", bytes=140 * GIB)


def shelf(*pulls: Pull) -> Shelf:
    return Shelf(models=(THERE, BIG, HERE, SMALL), pulls=pulls, memory_bytes=8 * GIB,
                 free_bytes=40 * GIB, cache="/home/ann/.cache/aiplat")  # fmt: skip


def link_of(*pulls: Pull) -> ScriptedLink:
    return ScriptedLink(
        **{
            "models/shelf": shelf(*pulls),
            "models/pull": Done(message="It is being fetched."),
            "models/serve": Done(message="It is offered."),
            "models/remove": Done(message="It is removed."),
        }
    )


# -- without a screen ------------------------------------------------------------------------------


def world_of(phase: str, **changes: Any) -> World:
    world = World(ScriptedLink(), None, StillClock(), lambda: None)
    world.phase = phase  # type: ignore[assignment]  # one of the phases
    world.status = status(**changes) if phase == "attached" else None
    return world


def key_of(name: str) -> str:
    """Keys as a person might have set them."""
    return name


def model(state: str, name: str = "smollm2-135m", note: str = "") -> ModelStatus:
    return ModelStatus(name=name, state=state, note=note)  # type: ignore[arg-type]  # a state


@pytest.mark.parametrize(
    ("models", "line", "more"),
    [
        ((model("ready"),), "You can chat now.", "It is small"),
        ((model("ready", "org/x"), model("ready")), "You can chat now.", "org/x and 1 more"),
        ((model("loading"),), "The model loads", "meanwhile"),
        ((model("cold", "org/x"),), "You can chat now.", "has it loaded"),
        ((model("failed", note="Too little memory."),), "No model answers", "Too little memory."),
        ((), "No model answers", "Choose a model"),
    ],
)
def test_the_card_says_how_the_model_is(
    models: tuple[ModelStatus, ...], line: str, more: str
) -> None:
    said = words.state_of(world_of("attached", models=models), key_of)
    assert line in said.line and more in said.more


def test_the_card_says_how_the_node_comes_up() -> None:
    world = world_of("starting")
    world.steps = ["one", "two", "three", "four"]
    assert words.state_of(world, key_of).more == "two\nthree\nfour"
    world = world_of("failed")
    world.trouble = "The port is taken."
    assert words.state_of(world, key_of).more == "The port is taken. app.start starts it."


def test_what_is_offered_goes_by_the_network_and_the_share() -> None:
    assert [offer.flow for offer in words.offers(status(network=None), key_of)] == [
        "create", "join", "choose_model", "edit_share", "make_key"
    ]  # fmt: skip
    paused = ShareStatus(state="paused", terms=ShareTerms(paused=True))
    found = words.offers(status(share=paused), key_of)
    assert found[0].flow == "invite" and "welcome.pause goes on" in found[3].about
    assert words.is_paused(status(share=paused)) and not words.is_paused(None)


def test_what_must_fail_is_not_offered_and_says_why() -> None:
    member = NetworkStatus(name="lab", key="00" * 32, roles=("client",))
    client = status(network=member, roles=("client",), models=(), share=None)
    off = {offer.number: offer.off for offer in words.offers(client, key_of)}
    assert off == {
        1: "on the owner's node only", 2: "leave lab first, in Peers",
        3: "this node is no processor", 4: "this node is no processor", 5: "",
    }  # fmt: skip
    assert not any(offer.off for offer in words.offers(None, key_of))
    owner = [offer.number for offer in words.offers(status(), key_of) if offer.off]
    assert owner == [2]


def test_a_client_alone_is_told_what_its_gateways_say() -> None:
    world = world_of("attached", roles=("client",), models=(), share=None)
    assert words.state_of(world, key_of).line == "Looking for who answers …"
    said = words.state_of(world, key_of, words.Asked((model("ready"),)))
    assert said.line == "You can chat now." and "this machine" not in said.more
    said = words.state_of(world, key_of, words.Asked(trouble="No gateway is connected."))
    assert said.line == "No model answers yet."
    assert said.more == ("No gateway is connected. See what is missing with peers.doctor in Peers.")


def test_what_was_brought_is_no_row_of_its_own_and_what_failed_says_why() -> None:
    done = Pull(model="org/x@main", state="done")
    failed = Pull(model="org/mid-1b", state="failed", error="Too little memory.")
    items = items_of(shelf(done, failed))
    assert "org/x@main" not in [item.model.name for item in items]
    item = next(item for item in items if item.model.name == "org/mid-1b")
    assert state_of(item, shelf())[2] == "could not be offered"
    assert list(notes_of(item)) == ["Too little memory. Enter tries again."]
    served = msgspec.structs.replace(item.model, served=True)
    assert not list(notes_of(Item(served, failed)))
    for state in ("failed", "cancelled"):
        pull = Pull(model="org/y", state=state)
        assert "org/y" in [item.model.name for item in items_of(shelf(pull))]


def test_what_is_offered_comes_first_and_what_may_not_fit_says_so() -> None:
    full = shelf(Pull(model="org/new", stage="verify"))
    items = items_of(full)
    assert [item.model.name for item in items] == [
        "smollm2-135m", "org/mid-1b", "org/small", "org/big-70b", "org/new"
    ]  # fmt: skip
    said = [state_of(item, full)[2] for item in items]
    assert said == ["offered", "here, not offered", "to fetch", "larger than 8.0 GiB", "checking"]
    tight = msgspec.structs.replace(full, free_bytes=1000)
    assert state_of(items[2], tight)[2] == "the disk is too full"


@pytest.mark.parametrize(
    ("pull", "full", "said"),
    [
        (Pull(model="m", stage="download", done=50, total=100), 5, " 50%  50 B of 100 B"),
        (Pull(model="m", stage="convert", done=3, total=4), 7, " 75%  3 of 4 tensors"),
        (Pull(model="m", stage="download", done=2048), 0, "2.0 KiB so far"),
        (Pull(model="m"), 0, "…"),
        (Pull(model="m", stage="download", done=300, total=100), 10, "100%  300 B of 100 B"),
    ],
)
def test_progress_is_a_bar_and_words(pull: Pull, full: int, said: str) -> None:
    bar, rest, told = progress(pull, 10)
    assert len(bar) == full and told == said
    assert len(bar) + len(rest) == (10 if pull.total else 0)


# -- the card --------------------------------------------------------------------------------------


async def _card(pilot: Any, app: AiplatApp) -> WelcomeCard:
    await until(pilot, lambda: isinstance(app.screen, WelcomeCard), "the card is shown")
    await pilot.pause()
    card = app.screen
    assert isinstance(card, WelcomeCard)
    return card


def test_it_is_shown_until_it_is_left_once(tmp_path: Path) -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(), welcomed=False, folder=tmp_path)
        async with running(app) as pilot:
            await _card(pilot, app)
            text = text_of(app)
            assert "● You can chat now." in text and "often wrong" in text
            assert all(name in text for name in ("Chat", "Peers", "Keys", "Usage", "Logs"))
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1, "it is left")
            assert app.preferences.welcomed
            await pilot.press("f10")
            await _card(pilot, app)
        kept = msgspec.json.decode((tmp_path / "terminal.json").read_bytes(), type=Preferences)
        assert kept.welcomed

    drive(test)


@pytest.mark.parametrize("how", ["key", "click"])
def test_it_is_left_for_good_by_going_to_a_pane(how: str, tmp_path: Path) -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(), welcomed=False, folder=tmp_path)
        async with running(app) as pilot:
            await _card(pilot, app)
            await pilot.click(offset=(0, 15))  # beside the names nothing happens
            assert isinstance(app.screen, WelcomeCard)
            if how == "key":
                await pilot.press("alt+5")
            else:
                tab = app.screen_stack[0].query_one("#tab-logs").region
                await pilot.click(offset=(tab.x + 1, tab.y))
            await until(pilot, lambda: app.pane and app.pane.id == "logs", "the pane is shown")
            assert len(app.screen_stack) == 1 and app.preferences.welcomed
        kept = msgspec.json.decode((tmp_path / "terminal.json").read_bytes(), type=Preferences)
        assert kept.welcomed

    drive(test)


def test_each_offer_begins_its_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def flow(name: str) -> Any:
        async def run(app: AiplatApp) -> None:
            done.append(name)
            if name == "join":
                raise InvalidRequest("That is no token.")

        return run

    for module, names in (
        ("aiplat.tui.peers.actions", ("create", "invite", "join", "edit_share")),
        ("aiplat.tui.keys.actions", ("make_key", "register", "log_in")),
    ):
        fake = ModuleType(module)
        for name in names:
            setattr(fake, name, flow(name))
        monkeypatch.setitem(sys.modules, module, fake)

    async def test() -> None:
        app = app_of(ScriptedLink(status=status(network=None)), welcomed=False)
        async with running(app) as pilot:
            card = await _card(pilot, app)
            begun: list[str] = []
            for key, name in (
                ("1", "create"),
                ("2", "join"),
                ("4", "edit_share"),
                ("5", "make_key"),
            ):
                await pilot.press(key)
                begun.append(name)
                await until(pilot, lambda: len(done) == len(begun), "it was begun")
            assert done == begun
            await until(pilot, lambda: "That is no token." in text_of(app), "the fault is told")
            card.query_one(OptionList).highlighted = 0
            await pilot.press("enter")
            await until(pilot, lambda: done[-1] == "create", "Enter chooses, too")
            assert app.screen is card

    drive(test)


def test_sharing_is_paused_from_the_card() -> None:
    async def test() -> None:
        link = ScriptedLink()
        link.says["share"] = lambda wish: Done(message="Paused.")
        app = app_of(link, welcomed=False)
        async with running(app) as pilot:
            await _card(pilot, app)
            await pilot.press("alt+p")
            await until(pilot, lambda: link.of("share"), "it is told")
            assert link.of("share") == [ShareWish(pause=True)]

    drive(test)


def test_a_client_alone_can_chat_and_what_must_fail_is_not_begun() -> None:
    async def test() -> None:
        member = NetworkStatus(name="lab", key="00" * 32, roles=("client",))
        link = ScriptedLink(
            status=status(network=member, roles=("client",), models=(), share=None),
            models=ModelList(models=(model("ready", "org/x"),)),
        )
        app = app_of(link, welcomed=False)
        async with running(app) as pilot:
            card = await _card(pilot, app)
            await until(pilot, lambda: "org/x can answer" in text_of(app), "it was asked")
            assert "No model answers" not in text_of(app)
            await pilot.press("2")
            await until(pilot, lambda: "Join a network: leave lab" in text_of(app), "it is told")
            await pilot.press("alt+p")
            await until(pilot, lambda: "Nothing is paused" in text_of(app), "it is told")
            assert app.screen is card and not link.of("share")

    drive(test)


# -- the models ------------------------------------------------------------------------------------


async def _models(pilot: Any, app: AiplatApp, name: str) -> ModelsScreen:
    await pilot.press("f8")
    await until(pilot, lambda: isinstance(app.screen, ModelsScreen), "the models are shown")
    screen = app.screen
    assert isinstance(screen, ModelsScreen)
    await until(pilot, lambda: screen.items, "the node has answered")
    names = [item.model.name for item in screen.items]
    screen.query_one(OptionList).highlighted = names.index(name)
    await pilot.pause()
    return screen


@pytest.mark.parametrize(
    ("name", "key", "path", "wish"),
    [
        ("org/small", "enter", "models/pull", PullWish(model="org/small")),
        ("org/mid-1b", "enter", "models/serve", ServeWish(model="org/mid-1b")),
        ("org/mid-1b", "o", "models/serve", ServeWish(model="org/mid-1b")),
        ("smollm2-135m", "w", "models/serve", ServeWish(model="smollm2-135m", off=True)),
        ("org/new", "x", "models/pull", PullWish(model="org/new", cancel=True)),
    ],
)
def test_a_key_does_it_with_the_model(name: str, key: str, path: str, wish: object) -> None:
    async def test() -> None:
        link = link_of(Pull(model="org/new", stage="download", done=1, total=4))
        app = app_of(link)
        async with running(app) as pilot:
            await _models(pilot, app, name)
            assert " 25%" in text_of(app) and "8.0 GiB of memory for models" in text_of(app)
            await pilot.press(key)
            await until(pilot, lambda: link.of(path), "it is asked")
            assert link.of(path) == [wish]

    drive(test)


def test_keys_that_make_no_sense_do_nothing() -> None:
    async def test() -> None:
        link = link_of()
        app = app_of(link)
        async with running(app) as pilot:
            await _models(pilot, app, "smollm2-135m")
            await pilot.press("enter", "o", "x", "d")
            await pilot.pause()
            assert not any(link.of(f"models/{name}") for name in ("pull", "serve", "remove"))

    drive(test)


@pytest.mark.parametrize(
    ("name", "key", "path", "wish"),
    [
        ("org/big-70b", "enter", "models/pull", PullWish(model="org/big-70b")),
        ("org/mid-1b", "d", "models/remove", ModelName(model="org/mid-1b")),
    ],
)
def test_what_may_not_fit_and_what_is_removed_is_confirmed(
    name: str, key: str, path: str, wish: object
) -> None:
    async def test() -> None:
        link = link_of()
        app = app_of(link)
        async with running(app) as pilot:
            screen = await _models(pilot, app, name)
            for answer in ("#no", "#yes"):
                await pilot.press(key)
                await until(pilot, lambda: isinstance(app.screen, Confirm), "it is asked")
                await pilot.pause()
                assert not link.of(path)
                await pilot.click(answer)
                await until(pilot, lambda: app.screen is screen, "it is answered")
            await until(pilot, lambda: link.of(path), "it is done")
            assert link.of(path) == [wish]

    drive(test)


def test_any_name_of_the_hub_can_be_typed() -> None:
    async def test() -> None:
        link = link_of()
        app = app_of(link)
        async with running(app) as pilot:
            screen = await _models(pilot, app, "org/small")
            await pilot.press("n")
            screen.query_one("#name", Input).value = " org/x@main:f.gguf "
            await pilot.press("enter")
            await until(pilot, lambda: link.of("models/pull"), "it is asked")
            assert link.of("models/pull") == [PullWish(model="org/x@main:f.gguf")]
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1, "it is left")

    drive(test)


def test_a_pull_that_failed_says_why_and_a_refusal_is_told() -> None:
    async def test() -> None:
        link = link_of(Pull(model="org/small", state="failed", error="The hub says [404]."))
        link.says["models/pull"] = InvalidRequest("Two are being fetched already.")
        app = app_of(link)
        async with running(app) as pilot:
            await _models(pilot, app, "org/small")
            assert "✕ org/small" in text_of(app) and "The hub says [404]. Enter" in text_of(app)
            await pilot.press("enter")
            await until(pilot, lambda: "Two are being fetched" in text_of(app), "it is told")

    drive(test)


def test_a_node_that_runs_no_models_says_so() -> None:
    async def test() -> None:
        link = ScriptedLink()
        link.says["models/shelf"] = InvalidRequest("This node runs no models: it has no processor.")
        app = app_of(link)
        async with running(app) as pilot:
            await pilot.press("f8")
            await until(pilot, lambda: "runs no models" in text_of(app), "it is said")

    drive(test)


@each_look()
def test_picture(size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    preferences = prefer(look, monkeypatch)

    async def test() -> None:
        link = ScriptedLink(status=status(network=None), log=Log(3))
        app = app_of(link, preferences=preferences)
        async with running(app, size, "logs") as pilot:
            await pilot.press("f10")
            await _card(pilot, app)
            await settled(pilot)
            await looks_as(pilot, f"welcome-{size[0]}x{size[1]}-{look}")

    drive(test)


@each_look()
def test_picture_of_models(
    size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    preferences = prefer(look, monkeypatch)

    async def test() -> None:
        link = link_of(Pull(model="org/new", stage="download", done=GIB, total=3 * GIB))
        link.says["log"] = Log(3)
        app = app_of(link, preferences=preferences)
        async with running(app, size, "logs") as pilot:
            await _models(pilot, app, "org/mid-1b")
            await settled(pilot)
            await looks_as(pilot, f"models-{size[0]}x{size[1]}-{look}")

    drive(test)


def test_who_types_a_question_has_it_in_the_chat() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link, welcomed=False)
        async with running(app) as pilot:
            await _card(pilot, app)
            for character in "What is p 12?":  # as fast as a pasting terminal: all at once
                key = "space" if character == " " else _character_to_key(character)
                app.post_message(Key(key, character))
            await until(pilot, lambda: len(app.screen_stack) == 1, "the card is gone")
            pane = app.pane
            assert isinstance(pane, ChatPane)
            await until(pilot, lambda: pane.composer.text == "What is p 12?", "it is in the chat")
            assert not link.of("share")[1:] and app.preferences.welcomed

    drive(test)
