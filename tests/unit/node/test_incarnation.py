"""A node's lives are counted upwards, whatever the clock and the file do."""

from __future__ import annotations

import os
import stat
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.node import incarnation
from aiplat.node.files import write_private
from aiplat.node.incarnation import HIGHEST, next_incarnation
from aiplat.protocol.messages import CODEC, Hello

NOW = 1_800_000_000_000
HOUR = 3_600_000


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "incarnation"


def test_the_first_life_has_the_time_and_it_is_kept_for_the_owner_alone(kept: Path) -> None:
    assert next_incarnation(kept, NOW) == NOW
    assert kept.read_text() == f"{NOW}\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_clock_hours_behind_does_not_step_back(kept: Path) -> None:
    lives = [next_incarnation(kept, now) for now in (NOW, NOW - 5 * HOUR, NOW - 9 * HOUR, 0)]
    assert lives == [NOW, NOW + 1, NOW + 2, NOW + 3]
    assert next_incarnation(kept, NOW + HOUR) == NOW + HOUR  # a clock that was mended counts again


def test_two_lives_in_one_millisecond_differ(kept: Path) -> None:
    assert next_incarnation(kept, NOW) < next_incarnation(kept, NOW)


@given(st.lists(st.integers(-(2**40), 2**44), min_size=2, max_size=20))
def test_it_only_grows(tmp_path_factory: pytest.TempPathFactory, clock: list[int]) -> None:
    path = tmp_path_factory.mktemp("lives") / "incarnation"
    lives = [next_incarnation(path, now) for now in clock]
    assert all(0 < before < after for before, after in pairwise(lives))


def test_it_is_kept_before_it_is_used(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that is killed at once has had its life, and the next one is another."""

    def die(path: Path, data: bytes) -> None:
        write(path, data)
        raise KeyboardInterrupt

    write = write_private
    monkeypatch.setattr(incarnation, "write_private", die)
    with pytest.raises(KeyboardInterrupt):
        next_incarnation(kept, NOW)
    monkeypatch.undo()
    assert next_incarnation(kept, NOW - HOUR) == NOW + 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no such number"),
        (b"-5", "no such number"),
        (b"12 34", "no such number"),
        (b"\x00\xff" * 9, "no such number"),
        ("\u0661".encode(), "no such number"),
        (b"9" * 19, "over the highest"),
        (str(HIGHEST).encode(), "over the highest"),
        (b"1" * 40, "no such number"),
    ],
)
def test_what_cannot_be_used_is_said_and_replaced(
    kept: Path, content: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept.write_bytes(content)
    assert next_incarnation(kept, NOW) == NOW
    [record] = caplog.records
    assert str(kept) in record.getMessage()
    assert why in record.getMessage()
    assert kept.read_text() == f"{NOW}\n"


def test_a_huge_file_is_not_read_whole(kept: Path) -> None:
    kept.write_bytes(b"5")
    os.truncate(kept, 2**40)  # holes, which take no room on the disk
    assert next_incarnation(kept, NOW) == NOW
    assert kept.read_text() == f"{NOW}\n"


def test_the_highest_that_is_kept_still_fits_the_wire(kept: Path) -> None:
    kept.write_text(str(HIGHEST - 1))
    assert next_incarnation(kept, NOW) == HIGHEST
    assert CODEC.encode(Hello(incarnation=HIGHEST))


def test_a_pipe_in_its_place_is_not_waited_for(
    kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(kept)
    assert next_incarnation(kept, NOW) == NOW
    assert len(caplog.records) == 1
    assert kept.is_file()


def test_a_file_that_cannot_be_read_or_written_stops_no_node(
    kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept.mkdir()  # also root, whom no mode stops, can neither read nor replace it
    assert next_incarnation(kept, NOW) == NOW
    read, written = (record.getMessage() for record in caplog.records)
    assert "cannot be used: Is a directory" in read
    assert "cannot be kept" in written
    assert [path.name for path in kept.parent.iterdir()] == ["incarnation"]  # and no draft stays
