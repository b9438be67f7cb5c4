"""What the history takes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from aiplat.control.history import Nothing
from aiplat.domain import conversations
from aiplat.domain.errors import InvalidRequest
from aiplat.history import store
from aiplat.history.store import Full
from tests.unit.history.helpers import answer, desk, question, save, show, talk


def test_one_conversation_more_than_the_bound_is_refused(tmp_path: Path) -> None:
    at, first, second = desk(tmp_path, max_conversations=1), talk("one"), talk("two")
    save(at, first)
    with pytest.raises(Full, match="1 conversations are kept, as many as may be") as caught:
        save(at, second)
    assert (caught.value.bound, caught.value.recoverable) == ("history_conversations", False)
    with pytest.raises(Full):
        at.begin(second, answer("", second.turns[0].id), lambda: True)
    save(at, replace(first, turns=(question("more", first.turns[0].id),)))
    assert at.state(Nothing()).conversations == 1


def test_a_file_over_its_bound_takes_nothing_new_but_titles(tmp_path: Path) -> None:
    at, given = desk(tmp_path, max_bytes=1_000_000), talk("x" * 1_200_000)
    save(at, given)
    with pytest.raises(Full, match="bytes, and 1000000 is the bound") as caught:
        save(at, replace(given, turns=(question("more", given.turns[0].id),)))
    assert caught.value.bound == "history_bytes"
    with pytest.raises(Full):
        save(at, talk("new"))
    save(at, replace(given, title="Named", turns=()))
    assert show(at, given.id).title == "Named"


def test_a_conversation_over_its_bound_takes_no_turn_more(tmp_path: Path) -> None:
    at, given = desk(tmp_path, max_conversation_bytes=1000), talk("ä" * 400)
    save(at, given)
    with pytest.raises(Full, match="1002 bytes of text, but at most 1000") as caught:
        save(at, replace(given, turns=(question("ä" * 101, given.turns[0].id),)))
    assert caught.value.bound == "history_conversation_bytes"
    assert len(show(at, given.id).turns) == 1, "nothing of it"
    save(at, replace(given, turns=(question("ä" * 100, given.turns[0].id),)))


def test_turns_are_bounded_over_all_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_TURNS", 3)
    at, given = desk(tmp_path), talk("one", "two", "three")
    save(at, given)
    with pytest.raises(InvalidRequest, match="at most 3 turns: begin a new one"):
        save(at, replace(given, turns=(question("four"),)))
    save(at, given)
    assert conversations.MAX_TURNS == 4000
