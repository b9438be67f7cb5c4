"""What is read of a machine: a made-up one, and this one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aiplat.domain.errors import ConfigError
from aiplat.roles.sharing_idle import Reading
from aiplat.runtime.share_readings import Machine, memory_mib
from tests.support.waiting import eventually

TICK = 1 / os.sysconf("SC_CLK_TCK")


def made_up(tmp_path: Path) -> tuple[Path, Path]:
    """Two cores; process 10 is ours, 11 and 12 below it; 20 has a name that is no help."""
    proc, dev = tmp_path / "proc", tmp_path / "dev"
    proc.mkdir()
    (dev / "pts").mkdir(parents=True)
    (proc / "stat").write_text(
        "cpu  100 10 20 5000 40 3 7 0 0 0\ncpu0 50 5 10 2500 20 1 3 0 0 0\n"
        "cpu1 50 5 10 2500 20 2 4 0 0 0\nintr 1 2 3\n"
    )
    for pid, name, parent, times in (
        (10, "python", 1, "1 2 3 4"), (11, "engine", 10, "10 0 0 0"), (12, "x", 11, "20 5 0 0"),
        (20, "a) S 10 b", 1, "1000 0 0 0"),
    ):  # fmt: skip
        (proc / str(pid)).mkdir()
        stat = f"{pid} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 {times} 20 0 1 0"
        (proc / str(pid) / "stat").write_text(stat)
    (proc / "99").mkdir()  # it ended while we looked
    (proc / "meminfo").write_text("MemFree:  1 kB\nMemTotal:       8192000 kB\n")
    return proc, dev


def test_what_others_do_is_told_from_what_we_and_our_engines_do(tmp_path: Path) -> None:
    proc, dev = made_up(tmp_path)
    reading = Machine(10, proc, dev, now=lambda: 7.0).read()
    assert (reading.at, reading.cores) == (7.0, 2)
    assert reading.busy == pytest.approx(140 * TICK), "waiting for a disk is not work"
    assert reading.ours == pytest.approx(45 * TICK), "and those that have ended"
    assert reading.input_seconds is None
    assert memory_mib(tmp_path) == 8000


def test_the_terminal_that_was_typed_at_last_counts(tmp_path: Path) -> None:
    proc, dev = made_up(tmp_path)
    for name, read_at in (
        ("tty1", 100.0), ("pts/3", 400.0), ("tty", 990.0), ("tty0", 991.0), ("pts/ptmx", 992.0),
        ("ttyprintk", 993.0),
    ):  # fmt: skip
        (dev / name).touch()
        os.utime(dev / name, (read_at, 999.0))
    machine = Machine(10, proc, dev, wall=lambda: 1000.0)
    assert machine.read().input_seconds == 600.0
    assert Machine(10, proc, dev, wall=lambda: 300.0).read().input_seconds == 0.0


def test_a_system_that_tells_nothing_says_what_to_do_instead(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--hours instead of --idle-only"):
        Machine(1, tmp_path, tmp_path).check()
    with pytest.raises(ConfigError, match="a size in place of a share"):
        memory_mib(tmp_path)


def test_this_machine_can_be_read() -> None:
    machine = Machine()
    machine.check()
    first = machine.read()

    def worked() -> Reading | None:
        sum(range(100_000))
        reading = machine.read()
        return reading if reading.ours >= first.ours + 2 * TICK else None

    second = eventually(worked)
    assert second is not None
    assert second.at > first.at
    assert second.busy >= first.busy
    assert first.cores <= 100_000
    assert memory_mib() > 64
