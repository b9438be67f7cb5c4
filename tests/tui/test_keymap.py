"""The keys that a person gives: which can be, that all can be taken back, how they are told."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import msgspec
import pytest
from textual.binding import Binding, BindingsMap

from aiplat.domain.errors import InvalidRequest
from aiplat.tui import binding_map
from aiplat.tui.actions import Known, known_actions
from aiplat.tui.keymap import changed, keys_of, meets, rivals, sound
from tests.support.screens import ScriptedLink, app_of, drive, running, status, text_of, until


def _known(name: str) -> Known:
    return next(action for action in known_actions() if action.id == name)


def _pairs() -> Iterator[tuple[Known, Known]]:
    for one, other in combinations(known_actions(), 2):
        if meets(one, other) and set(keys_of(one, {})) & set(keys_of(other, {})):
            yield one, other


@pytest.mark.parametrize("action", known_actions(), ids=lambda action: action.id)
def test_every_action_can_have_its_usual_keys(action: Known) -> None:
    for key in keys_of(action, {}):
        given = changed(known_actions(), {}, action.id, key)
        assert given[action.id].split(",")[0] == key
        assert ("escape" in keys_of(action, given)) == ("escape" in keys_of(action, {}))
        assert not rivals(known_actions(), {}, action, key)


def test_esc_goes_back_whatever_other_key_does_it_too() -> None:
    keymap = changed(known_actions(), {}, "chat.stop", "f12")
    assert keys_of(_known("chat.stop"), keymap) == ("f12", "escape")


def test_two_that_share_a_key_can_share_another() -> None:
    pairs = {(one.id, other.id) for one, other in _pairs()}
    assert {("peers.drain", "peers.undrain"), ("peers.pause", "peers.resume")} <= pairs
    keymap = changed(known_actions(), {}, "peers.drain", "z")
    keymap = changed(known_actions(), keymap, "peers.undrain", "z")
    assert keymap == {"peers.drain": "z", "peers.undrain": "z"}
    with pytest.raises(InvalidRequest, match="Drain"):
        changed(known_actions(), keymap, "peers.pause", "z")


@pytest.mark.parametrize(
    ("name", "key", "said"),
    [
        ("app.help", "comma", "type that letter no more"),
        ("app.help", "full_stop", "type that letter no more"),
        ("app.quit", "question_mark", "type that letter no more"),
        ("app.quit", "space", "type that letter no more"),
        ("app.quit", "ctrl+v", "edits what is typed"),
        ("app.quit", "left", "edits what is typed"),
        ("chat.why", "w", "type that letter no more"),
        ("chat.why", "ctrl+w", "edits what is typed"),
        ("dialog.leave", "q", "type that letter no more"),
        ("picker.done", "exclamation_mark", "type that letter no more"),
    ],
)
def test_a_key_that_types_or_edits_is_refused_where_text_is_typed(
    name: str, key: str, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        changed(known_actions(), {}, name, key)


@pytest.mark.parametrize(
    ("name", "key"),
    [("app.help", "f12"), ("app.help", "alt+h"), ("chat.why", "alt+y"), ("peers.invite", "comma"),
     ("logs.copy", "left"), ("usage.style", "question_mark")],
)  # fmt: skip
def test_other_keys_are_given(name: str, key: str) -> None:
    assert changed(known_actions(), {}, name, key) == {name: key}


def test_keys_of_the_file_that_are_none_are_left_out_and_told() -> None:
    given = {
        "peers.pause": "", "app.help": "f12", "logs.up": "up, k", "logs.copy": ",",
        "logs.wrap": "ctl+w", "app.quit": "ctrl+?", "peers.invite": "?", "keys.make": "no key",
    }  # fmt: skip
    good, words = sound(given)
    assert good == {
        "app.help": "f12", "logs.up": "up, k", "app.quit": "ctrl+?", "peers.invite": "?"
    }  # fmt: skip
    assert "peers.pause (“”), logs.copy (“,”), logs.wrap (“ctl+w”) and 1 more" in words
    assert sound({"app.help": "f12"}) == ({"app.help": "f12"}, "")


def test_an_action_keeps_its_key_while_another_gets_one() -> None:
    def keys(keymap: dict[str, str]) -> dict[str, list[str]]:
        bindings = BindingsMap([
            Binding("d", "drain", id="p.drain"), Binding("d", "undrain", id="p.undrain"),
            Binding("up,k", "up", id="p.up"), Binding("b", "cursor"),
        ])  # fmt: skip
        assert not binding_map.apply(bindings, keymap).clashed_bindings
        found = bindings.key_to_bindings.items()
        return {key: [binding.action for binding in there] for key, there in found}

    assert keys({"p.drain": "z"}) == {
        "z": ["drain"], "d": ["undrain"], "up": ["up"], "k": ["up"], "b": ["cursor"]
    }  # fmt: skip
    assert keys({"p.drain": "z", "p.undrain": "z"})["z"] == ["drain", "undrain"]
    assert keys({"p.up": "b,x"}) == {"d": ["drain", "undrain"], "b": ["up", "cursor"], "x": ["up"]}


# -- on the screen ---------------------------------------------------------------------------------


def test_an_empty_key_in_the_file_is_told_and_peers_is_shown(tmp_path: Path) -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(), folder=tmp_path)
        broken = msgspec.structs.replace(app.preferences, keymap={"peers.pause": ""})
        app.preferences_file.write(broken)
        app = type(app)(ScriptedLink(), preferences=app.preferences_file)
        async with running(app, pane="peers") as pilot:
            await until(pilot, lambda: "this node" in text_of(app), "it is shown")
            assert "peers.pause" in " ".join(text_of(app).split())
            assert app.key_of("peers.pause") == "p" and not app.preferences.keymap

    drive(test)


def test_one_of_a_pair_that_got_another_key_does_it_and_the_other_keeps_its_own() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        app.apply(msgspec.structs.replace(app.preferences, keymap={"peers.drain": "z"}))
        async with running(app, pane="peers") as pilot:
            await until(pilot, lambda: "this node" in text_of(app), "it is shown")
            active = app.screen.active_bindings
            assert active["z"].binding.id == "peers.drain"
            link.says["status"] = status(drained=True)
            app.world.look_now()
            await until(pilot, lambda: app.world.status and app.world.status.drained, "it is seen")
            await pilot.pause()
            assert app.screen.active_bindings["d"].binding.id == "peers.undrain"

    drive(test)


def test_a_key_is_told_of_wherever_its_action_is_done() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app):
            told = ("keys.make", "logs.newest", "peers.drain", "models.get", "app.help")
            assert [app.key_of(name) for name in told] == ["n", "end", "d", "⏎", "F1"]
            app.apply(
                msgspec.structs.replace(app.preferences, keymap={"keys.make": "question_mark"})
            )
            assert app.key_of("keys.make") == "?" and app.key_of("no.such") == ""

    drive(test)
