"""The file: private, replaced when broken or gone, left alone when locked, full or newer."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from aiplat.database import file as module
from aiplat.database.file import KEPT_BROKEN
from aiplat.series.file import SeriesFile, Trouble
from aiplat.series.store import select, write
from aiplat.series.wanted import Wanted
from tests.unit.series.helpers import NOON, OWN, page

ALL = Wanted(span=60, minutes_since=0, since=0, until=2 * NOON, step=60)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SeriesFile]:
    file = SeriesFile(tmp_path / "series.db")
    yield file
    file.close()


def add(file: SeriesFile, at: int = NOON) -> None:
    file.use(partial(write, pages=[page(at)], most=10, own=OWN))


def requests(file: SeriesFile) -> float:
    return sum(row[0] for _, _, row in file.use(partial(select, wanted=ALL, names=10)))


def test_it_is_its_owners_alone_also_the_parts_beside_it(file: SeriesFile) -> None:
    file.path.touch(0o644)
    before = os.umask(0)
    try:
        add(file)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in file.path.parent.iterdir()}
    assert modes == {"series.db": 0o600, "series.db-wal": 0o600, "series.db-shm": 0o600}


def test_one_that_is_up_to_date_is_opened_without_what_makes_it_so(file: SeriesFile) -> None:
    add(file)
    file.close()
    code = (
        "import sys\nfrom pathlib import Path\nfrom aiplat.series.file import SeriesFile\n"
        "import aiplat.series.series\n"
        "file = SeriesFile(Path(sys.argv[1]))\n"
        "assert file.use(lambda db: db.execute('SELECT COUNT(*) FROM seen').fetchone()) == (3,)\n"
        "assert 'sqlite_utils' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(file.path)], check=True)


def test_a_broken_one_is_moved_aside_and_what_was_to_be_written_is(
    file: SeriesFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    for number in range(1, KEPT_BROKEN + 3):
        file.path.write_bytes(b"no database at all " * 100)
        add(file)
        assert requests(file) == 1
        file.close()
        aside = file.path.with_name(f"series.db.broken-{number}")
        assert aside.read_bytes().startswith(b"no database")
    kept = sorted(path.name for path in file.path.parent.glob("*broken*"))
    assert kept == [f"series.db.broken-{n}" for n in range(3, KEPT_BROKEN + 3)]


def test_one_that_breaks_while_it_is_used_is_moved_aside_with_its_parts(
    file: SeriesFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    for minute in range(500):
        add(file, NOON + 60 * minute)
    file.close()
    data = bytearray(file.path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)  # all pages but the first
    file.path.write_bytes(data)
    add(file)
    assert requests(file) == 1
    assert file.path.with_name("series.db.broken-1").read_bytes() == bytes(data)


def test_one_of_another_form_is_left_alone_and_told_and_logged_once(
    file: SeriesFile, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.closing(sqlite3.connect(file.path)) as other:
        other.execute("CREATE TABLE seen (x)")
        other.commit()
    for _ in range(5):
        with pytest.raises(Trouble, match=r"already exists\): nothing of it was changed; the log"):
            add(file)
    assert not list(file.path.parent.glob("*broken*"))
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "wrong", ["SELECT * FROM nothing", "INSERT INTO meta VALUES (1, 1)", "SELECT zeroblob(1 << 40)"]
)
def test_a_fault_that_is_no_corruption_moves_nothing_however_long_it_stays(
    file: SeriesFile, wrong: str
) -> None:
    add(file)
    file.use(lambda db: db.execute("CREATE TABLE meta (a CHECK (a > 1), b)").fetchone())
    for _ in range(5):
        with pytest.raises(Trouble):
            file.use(lambda db: db.execute(wrong).fetchone())
    assert requests(file) == 1
    assert not list(file.path.parent.glob("*broken*"))


def test_one_that_was_just_made_is_not_moved(file: SeriesFile) -> None:
    add(file)
    file.close()
    file.path.write_bytes(b"no database at all " * 100)
    for _ in range(2):
        with pytest.raises(Trouble, match=r"made a moment ago: see to its disk"):
            add(file)
    assert file.path.read_bytes().startswith(b"no database")
    assert not list(file.path.parent.glob("*broken*"))


def test_one_that_was_removed_is_made_anew(file: SeriesFile) -> None:
    add(file)
    for path in file.path.parent.iterdir():
        path.unlink()
    add(file)
    assert requests(file) == 1
    with contextlib.closing(sqlite3.connect(file.path)) as other:
        assert other.execute("SELECT COUNT(*) FROM seen").fetchone() == (3,)


def test_a_locked_one_is_left_alone(file: SeriesFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.01)
    add(file)
    file.close()
    with contextlib.closing(sqlite3.connect(file.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Trouble, match=r"locked\): another program holds it: close that"):
            add(file)
        other.execute("ROLLBACK")
    add(file)
    assert requests(file) == 2
    assert not list(file.path.parent.glob("*broken*"))


def test_a_full_one_says_so_and_goes_on_when_there_is_room(file: SeriesFile) -> None:
    add(file)

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1")
        write(connection, [page(NOON + 60 * minute) for minute in range(2000)], 10, OWN)

    with pytest.raises(Trouble, match=r"full\): make room on its disk"):
        file.use(fill)
    add(file)
    assert requests(file) == 2, "nothing of what did not fit"


def test_one_of_a_newer_version_is_not_touched(file: SeriesFile) -> None:
    add(file)
    file.close()
    with contextlib.closing(sqlite3.connect(file.path)) as other:
        other.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('aiplat.series', '9999-later', '')"
        )
        other.commit()
    with pytest.raises(Trouble, match=r"newer aiplat \(it has '9999-later'\): update this one"):
        add(file)
    assert not list(file.path.parent.glob("*broken*"))


def test_a_folder_that_is_gone_is_told_in_words(tmp_path: Path) -> None:
    file = SeriesFile(tmp_path / "none" / "series.db")
    with pytest.raises(Trouble, match=r"none/series.db cannot be used \(No such file or directory"):
        add(file)


def test_a_fault_of_ours_moves_nothing(file: SeriesFile) -> None:
    add(file)

    def wrong(connection: sqlite3.Connection) -> None:
        connection.execute("SELECT ?", [])

    with pytest.raises(sqlite3.ProgrammingError):
        file.use(wrong)
    assert not list(file.path.parent.glob("*broken*"))
