"""Conversations: saved, shown, listed, renamed, deleted for good, and gone by their age."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from aiplat.control.history import ConversationName, HistoryAsk, Nothing, Retention, Save
from aiplat.domain.conversations import (
    AnswerFacts,
    AttachedFile,
    Conversation,
    ConversationSettings,
    Turn,
    path_of,
)
from aiplat.domain.errors import InvalidRequest
from aiplat.history import desk as desk_module
from aiplat.history import store
from aiplat.history.store import DIED, CutPath
from tests.unit.history.helpers import (
    DAY,
    NOON,
    Clock,
    answer,
    desk,
    found,
    new_id,
    question,
    save,
    show,
    talk,
)


def test_what_was_saved_is_shown_again_whole(tmp_path: Path) -> None:
    first = question("What is it?", files=(AttachedFile("a.py", "x = 1\n"), AttachedFile("b", "")))
    second = answer("It is this.", first.id, first_token_ms=12.5, completion_tokens=4)
    other = answer("Or that: 漢字 \x00 \U0001f600", first.id)
    settings = ConversationSettings(model="tiny", system="Be brief.", temperature=0.5)
    given = Conversation(
        id=new_id("cnv"), title="A talk", created=NOON - 5, updated=NOON - 1, settings=settings,
        head=second.id, turns=(first, second, other),
    )  # fmt: skip
    at = desk(tmp_path)
    save(at, given)
    at.close()
    assert show(desk(tmp_path), given.id) == given


def test_the_file_and_its_parts_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        save(desk(tmp_path), talk("hello"))
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"history.db": 0o600, "history.db-wal": 0o600, "history.db-shm": 0o600}


def test_turns_are_put_in_and_those_that_are_not_named_stay(tmp_path: Path) -> None:
    at, given = desk(tmp_path), talk("one", "two")
    save(at, given)
    first, second = given.turns
    third = question("three", second.id)
    save(
        at, replace(given, title="Named", head=third.id, turns=(replace(first, text="ONE"), third))
    )
    kept = show(at, given.id)
    assert [turn.text for turn in kept.turns] == ["ONE", "two", "three"]
    assert (kept.title, kept.head) == ("Named", third.id)
    assert [turn.text for turn in path_of(kept)] == ["ONE", "two", "three"]
    assert found(at, "one") == found(at, "three") == [given.id]


def test_a_title_is_made_of_the_first_question_until_a_person_gives_one(tmp_path: Path) -> None:
    at, given = desk(tmp_path), talk("\n  What is love?\nBaby", "Don't")
    save(at, given)
    assert show(at, given.id).title == "What is love?"
    save(at, replace(given, title="Songs", turns=()))
    assert show(at, given.id).title == "Songs"
    assert found(at, "songs") == [given.id]
    save(at, replace(given, title="", turns=()))
    assert show(at, given.id).title == "What is love?"
    assert found(at, "songs") == []


def test_a_turn_that_a_face_believes_to_run_is_left_out(tmp_path: Path) -> None:
    at, given = desk(tmp_path), talk("one", "whole")
    save(at, given)
    stale = replace(given.turns[1], text="who", facts=AnswerFacts())
    new = replace(stale, id=new_id("trn"))
    save(at, replace(given, turns=(stale, new)))
    assert [turn.text for turn in show(at, given.id).turns] == ["one", "whole"]


def test_an_answer_that_runs_is_not_overwritten_and_is_found_when_it_ended(tmp_path: Path) -> None:
    clock = Clock()
    at, given = desk(tmp_path, clock), talk("one")
    turn = Turn(id=new_id("trn"), parent=given.turns[0].id, role="assistant", at=NOON,
                facts=AnswerFacts(request="req-1"))  # fmt: skip
    at.begin(given, turn, lambda: True)
    assert show(at, given.id).head == turn.id
    [summary] = at.list(HistoryAsk()).conversations
    assert (summary.running, summary.turns) == (True, 2)
    assert at.write(given.id, turn.id, "some wo", AnswerFacts(request="req-1", model="tiny"))
    save(at, replace(given, turns=(replace(turn, text="", facts=AnswerFacts(state="done")),)))
    assert show(at, given.id).turns[1].text == "some wo"
    assert found(at, "some") == []

    clock.at += 10
    done = AnswerFacts(state="done", model="tiny")
    assert at.write(given.id, turn.id, "some words", done)
    kept = show(at, given.id)
    assert (kept.turns[1].text, kept.turns[1].facts, kept.updated) == (
        "some words",
        done,
        NOON + 10,
    )
    assert found(at, "words") == [given.id]
    [summary] = at.list(HistoryAsk()).conversations
    assert (summary.running, summary.model) == (False, "tiny")
    assert not at.write(given.id, turn.id, "more", done), "it has ended"


def test_an_answer_begins_after_a_question_that_is_there_and_under_a_new_id(tmp_path: Path) -> None:
    at, given = desk(tmp_path), talk("one", "two")
    with pytest.raises(
        InvalidRequest, match=r"no turn trn-.* could be answered: send the question"
    ):
        at.begin(given, answer("", new_id("trn")), lambda: True)
    assert at.state(Nothing()).conversations == 0, "nothing of it"
    at.begin(given, answer("", given.turns[0].id), lambda: True)
    with pytest.raises(InvalidRequest, match=r"has a turn .* already: give the answer a new id"):
        at.begin(replace(given, turns=()), given.turns[1], lambda: True)


def test_a_turn_that_would_cut_the_path_is_refused(tmp_path: Path) -> None:
    at, given = desk(tmp_path), talk("one", "two", "three")
    last = replace(given, turns=given.turns[2:])
    with pytest.raises(CutPath, match=rf"comes after {given.turns[1].id}, which is not kept here"):
        save(at, last)
    with pytest.raises(CutPath, match="Send the whole conversation"):
        at.begin(last, answer("", given.turns[2].id), lambda: True)
    assert at.state(Nothing()).conversations == 0, "nothing of it"
    save(at, replace(given, turns=given.turns[:2]))
    save(at, last)
    assert show(at, given.id).turns == given.turns


def test_an_answer_that_nobody_waits_for_has_not_begun(tmp_path: Path) -> None:
    at, given = desk(tmp_path), talk("one")
    with pytest.raises(Exception, match="took too long"):
        at.begin(given, answer("", given.turns[0].id), lambda: False)
    assert at.list(HistoryAsk()).conversations == ()


def test_answers_that_a_dead_node_left_are_marked_with_what_had_come(tmp_path: Path) -> None:
    at, given = desk(tmp_path), talk("one")
    turn = answer("", given.turns[0].id, state="running", request="req-1")
    at.begin(given, turn, lambda: True)
    at.write(given.id, turn.id, "half an ans", AnswerFacts(request="req-1", model="tiny"))
    at.close()  # as a node that is killed does not even do
    at = desk(tmp_path)
    [_, kept] = show(at, given.id).turns
    assert kept.text == "half an ans"
    assert kept.facts == AnswerFacts(state="failed", error=DIED, request="req-1", model="tiny")
    assert found(at, "half") == [given.id]
    assert not at.write(given.id, turn.id, "more", AnswerFacts()), "nobody gives it any more"


def test_those_used_last_come_first_and_are_bounded(tmp_path: Path) -> None:
    clock = Clock()
    at, talks = desk(tmp_path, clock), []
    for _ in range(5):
        clock.at += 60
        talks.append(talk("hello"))
        save(at, talks[-1])
    ids = [one.id for one in reversed(talks)]
    first = at.list(HistoryAsk(most=2))
    assert ([one.id for one in first.conversations], first.more) == (ids[:2], 3)
    last = at.list(HistoryAsk(most=3, skip=3, search="hel"))
    assert ([one.id for one in last.conversations], last.more) == (ids[3:], 0)
    save(at, replace(talks[0], updated=int(clock.at)))
    assert [one.id for one in at.list(HistoryAsk()).conversations][:2] == [ids[0], ids[-1]]
    for wrong in (HistoryAsk(most=0), HistoryAsk(most=501), HistoryAsk(skip=-1)):
        with pytest.raises(InvalidRequest, match="must be from"):
            at.list(wrong)
    with pytest.raises(InvalidRequest, match="at most 400 characters, this one 401"):
        at.list(HistoryAsk(search="x" * 401))


def test_times_of_the_future_are_not_believed(tmp_path: Path) -> None:
    at, given = desk(tmp_path), talk("hello")
    save(at, replace(given, created=NOON + 99, updated=NOON + 99))
    kept = show(at, given.id)
    assert (kept.created, kept.updated) == (NOON, NOON)


def test_ids_may_be_cut_at_either_end_as_long_as_they_name_one(tmp_path: Path) -> None:
    at = desk(tmp_path)
    one, two = (
        Conversation(id=f"cnv-{id}") for id in ("abcd" + "0" * 16 + "1234", "abce" + "1" * 20)
    )
    save(at, one)
    save(at, two)
    for name in (one.id, "cnv-abcd", "abcd0", "01234", " ABCD ", "cnv-" + one.id[4:]):
        assert show(at, name).id == one.id
    for wrong in ("abc", "ab", "", "1", "%", "cnv-____", "zzzz", "1" * 25, "cnv-", "abcd%"):
        with pytest.raises(InvalidRequest, match="No conversation"):
            show(at, wrong)
    three = Conversation(id="cnv-abcd" + "2" * 20)
    save(at, three)
    with pytest.raises(InvalidRequest, match="Several conversations begin or end with 'abcd'"):
        at.delete(ConversationName(id="abcd"))


def test_where_nothing_was_kept_there_is_no_file_and_nothing_fails(tmp_path: Path) -> None:
    at = desk(tmp_path / "none")
    assert at.list(HistoryAsk(search="x")).conversations == ()
    assert at.state(Nothing()).conversations == at.tidy() == 0
    for ask in (at.show, at.delete, at.whole_id):
        with pytest.raises(InvalidRequest, match="No conversation 'abcd' is kept here"):
            ask(ConversationName(id="abcd"))
    assert not (tmp_path / "none").exists()


def _bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("history.db*"))


def test_what_is_deleted_is_overwritten_everywhere(tmp_path: Path) -> None:
    at = desk(tmp_path)
    stays = talk("An everyday question", "An everyday answer")
    files = (AttachedFile("filenamexyzzy", "contentxyzzy"),)
    long = "wordxyzzy " * 3000
    goes = talk("questionxyzzy", "answerxyzzy", long, title="titlexyzzy")
    goes = replace(goes, turns=(replace(goes.turns[0], files=files), *goes.turns[1:]))
    save(at, stays)
    save(at, goes)
    save(at, replace(goes, turns=(replace(goes.turns[1], text="rewrittenxyzzy"),)))
    assert b"xyzzy" in _bytes_of(tmp_path)
    done = at.delete(ConversationName(id=goes.id))
    assert done.message == "The conversation “titlexyzzy” is deleted."
    left = _bytes_of(tmp_path)
    assert b"xyzzy" not in left
    assert b"everyday" in left
    assert found(at, "everyday") == [stays.id]
    with pytest.raises(InvalidRequest, match="No conversation"):
        show(at, goes.id)
    _check_index(tmp_path)


def _check_index(folder: Path) -> None:
    """FTS5's own check that index and content agree (SQLite, "FTS5", 6.6)."""
    db = sqlite3.connect(folder / "history.db")
    for table in ("turn_words", "title_words"):
        db.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)")
    db.close()


def test_what_is_too_old_goes_at_once_and_later_but_none_with_an_answer_under_way(
    tmp_path: Path,
) -> None:
    clock = Clock()
    at = desk(tmp_path, clock)
    old, runs, new = talk("oldxyzzy"), talk("runs"), talk("new")
    save(at, old)
    at.begin(runs, answer("", runs.turns[0].id, state="running"), lambda: True)
    clock.at += 3 * DAY
    save(at, new)
    assert at.tidy() == 0, "for ever"
    done = at.retain(Retention(days=2))
    assert "for 2 days after they were used last; 1 was older, and deleted" in done.message
    assert {one.id for one in at.list(HistoryAsk()).conversations} == {runs.id, new.id}
    assert b"xyzzy" not in _bytes_of(tmp_path)
    assert at.state(Nothing()).days == 2
    clock.at += 2 * DAY
    assert at.tidy() == 0, "to the second"
    clock.at += 1
    assert at.tidy() == 1
    assert [one.id for one in at.list(HistoryAsk()).conversations] == [runs.id]
    at.retain(Retention(days=0))
    for wrong in (-1, 36_501):
        with pytest.raises(InvalidRequest, match=f"not for {wrong}"):
            at.retain(Retention(days=wrong))
    _check_index(tmp_path)


def test_a_large_index_is_overwritten_in_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_MERGED_PAGES", 1)
    monkeypatch.setattr(desk_module, "ERASE_SECONDS", 0.0)
    at = desk(tmp_path)
    for place in range(40):
        save(at, talk(" ".join(f"word{place}x{n}" for n in range(500)), f"secretxyzzy{place}"))
    for one in at.list(HistoryAsk(search="secretxyzzy")).conversations:
        at.delete(ConversationName(id=one.id))
        save(at, talk("other words"))
    if sqlite3.sqlite_version_info < (3, 42):
        assert at.erase(), "more is to be done"
    while at.erase():
        pass
    assert b"xyzzy" not in _bytes_of(tmp_path)
    assert len(found(at, "other")) == 40
    _check_index(tmp_path)


def test_more_than_go_at_once_go_all_the_same(tmp_path: Path) -> None:
    clock = Clock()
    at = desk(tmp_path, clock)
    for _ in range(130):
        save(at, talk("hello"))
    clock.at += 3 * DAY
    assert "130 were older" in at.retain(Retention(days=1)).message


def test_many_old_ones_go_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "TIDY_SECONDS", 0.0)
    clock = Clock()
    at = desk(tmp_path, clock)
    for _ in range(3):
        save(at, talk("hello"))
    clock.at += 3 * DAY
    said = at.retain(Retention(days=1)).message
    assert "1 was older, and deleted. More are older: they go step by step" in said
    assert (at.tidy(), at.tidy(), at.tidy()) == (1, 1, 0)


def test_it_tells_how_much_is_kept(tmp_path: Path) -> None:
    at = desk(tmp_path)
    save(at, talk("x" * 100_000))
    state = at.state(Nothing())
    assert (state.conversations, state.days) == (1, 0)
    assert 100_000 < state.bytes < 400_000
    assert state.path == str(tmp_path / "history.db")


def test_ids_and_texts_that_cannot_be_are_refused(tmp_path: Path) -> None:
    at = desk(tmp_path)
    for wrong in (
        Conversation(id="cnv-1"),
        Conversation(id=new_id("cnv"), title="x" * 121),
        Conversation(id=new_id("cnv"), turns=(Turn(id="trn-1"),)),
    ):
        with pytest.raises(InvalidRequest):
            at.save(Save(conversation=wrong))
    assert at.state(Nothing()).conversations == 0
