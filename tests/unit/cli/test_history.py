"""``aiplat history``: on the file while no node runs, by the node while one does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from aiplat.cli import main
from aiplat.control.history import ConversationName, Retention
from aiplat.runtime.lock import NodeLock
from aiplat.runtime.places import find_places
from tests.support.fake_home import node_at
from tests.support.fake_node import FakeNode
from tests.unit.history.helpers import answer, desk, save, show, talk

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIPLAT_HOME", str(tmp_path / "h"))
    find_places(str(tmp_path / "h"), {}).prepare()
    return tmp_path / "h"


def run(*words: str, code: int = 0) -> None:
    assert main.run(["history", *words]) == code


def test_list_search_show_rename_and_delete_without_a_node(home: Path, capsys: Capture) -> None:
    run("list")
    assert capsys.readouterr().err == "No conversations are kept here.\n"
    at = desk(home / "data")
    one, two = talk("Of foxes", "They are red."), talk("Of hares")
    save(at, one)
    save(at, two)
    run("list")
    assert "Of foxes" in (table := capsys.readouterr().out) and "Of hares" in table
    run("list", "--search", "are red")
    table = capsys.readouterr().out
    assert one.id[-8:] in table and "They are red." in table and "hares" not in table
    run("list", "--search", "red", "--json")
    [found] = json.loads(capsys.readouterr().out)["conversations"]
    assert (found["id"], found["marks"], found["running"]) == (one.id, [[9, 12]], False)
    run("list", "--search", "elephants")
    assert capsys.readouterr().err == "Nothing was found.\n"

    run("rename", one.id[-8:], "  Red \n ones ")
    assert "“Red ones” is kept" in capsys.readouterr().err
    run("show", one.id[-8:])
    assert capsys.readouterr().out.startswith("# Red ones\n")
    assert [turn.text for turn in show(at, one.id).turns] == ["Of foxes", "They are red."]

    run("delete", one.id, code=2)
    assert "add --yes" in capsys.readouterr().err
    run("delete", one.id, "--yes")
    assert capsys.readouterr().err == "The conversation “Red ones” is deleted.\n"
    run("show", one.id, code=2)
    assert "No conversation" in capsys.readouterr().err


def test_a_broken_file_is_told_and_where_it_lies(home: Path, capsys: Capture) -> None:
    (home / "data" / "history.db").write_bytes(b"no database at all " * 100)
    for _ in range(2):
        run("list")
        said = capsys.readouterr().err
        assert str(home / "data" / "history.db.broken-1") in said
        assert "No conversations are kept here." in said


def test_export_never_overwrites_and_is_its_owners_alone(home: Path, capsys: Capture) -> None:
    given = talk("Hello", "Hi \x1b[31mred")
    save(desk(home / "data"), given)
    target = home / "talk.md"
    before = os.umask(0)
    try:
        run("export", given.id, "--output", str(target))
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o600
    first = target.read_text()
    assert "## Answer\n\nHi \x1b[31mred" in first
    run("export", given.id, "--format", "json", "--output", str(target), code=2)
    assert "is there already: choose another name, or add --force" in capsys.readouterr().err
    assert target.read_text() == first
    run("export", given.id, "--format", "json", "--output", str(target), "--force")
    assert json.loads(target.read_text())["id"] == given.id
    run("export", given.id, "--output", str(home / "none" / "talk.md"), code=2)
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
    assert sorted(path.name for path in home.iterdir() if path.is_file()) == ["talk.md"]
    run("export", given.id)
    assert capsys.readouterr().out == first, "as it is into a pipe"
    run("export", given.id, "--force", code=2)
    run("export", given.id, "--format", "json", "--all-branches", code=2)


def test_all_branches_are_there_when_wanted(home: Path, capsys: Capture) -> None:
    given = talk("Hello", "Hi")
    other = answer("Hey", given.turns[0].id)
    save(desk(home / "data"), given.__replace__(turns=(*given.turns, other), head=other.id))
    run("export", given.id)
    assert "Hi" not in capsys.readouterr().out
    run("export", given.id, "--all-branches")
    text = capsys.readouterr().out
    assert text.index("Hi") < text.index("Hey")


def test_a_terminal_gets_no_control_codes(
    home: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = talk("Hello", "Hi \x1b[31mred\x9b")
    save(desk(home / "data"), given)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    run("show", given.id)
    text = capsys.readouterr().out
    assert "Hi [31mred" in text and "\x1b" not in text and "\x9b" not in text


def test_retain(home: Path, capsys: Capture) -> None:
    run("retain", "30")
    assert "kept for 30 days" in capsys.readouterr().err
    run("retain", "forever")
    assert "until they are deleted" in capsys.readouterr().err
    for wrong in ("0", "-1", "1.5", "36501", "x", "²"):
        run("retain", "--", wrong, code=2)
        assert "from 1 to 36500, or forever" in capsys.readouterr().err


def test_a_node_that_runs_is_asked(home: Path, capsys: Capture) -> None:
    with node_at(home, FakeNode()) as node:
        run("retain", "7")
        assert node.orders == [("retain", Retention(days=7))]
        run("show", "abcd", code=1)  # it tells nothing of the kind that is shown
        assert node.orders[1] == ("show", ConversationName(id="abcd"))


def test_a_node_that_starts_or_ends_keeps_others_from_the_file(home: Path, capsys: Capture) -> None:
    with NodeLock(home / "state" / "node.lock", background=False):
        run("list", code=1)
    assert "does not answer" in capsys.readouterr().err
