"""Engines' processes and GPUs, looked at: what is read, and what cannot be."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from aiplat.runtime import machine_readings as module
from aiplat.runtime.machine_readings import MachineReadings, gpus, read_gpus
from aiplat.series.seen import Reading
from tests.support.waiting import eventually

MIB = 1024 * 1024


def stat(pid: int, ticks: int, began: int = 5, pages: int = 10, name: str = "py") -> str:
    """A line of proc(5) with what is read of it."""
    fields = ["S", *["0"] * 10, str(ticks), "0", *["0"] * 6, str(began), "0", str(pages), "0"]
    return f"{pid} ({name}) {' '.join(fields)}"


class Machine:
    """A folder of processes, and a clock that the test sets."""

    def __init__(self, proc: Path) -> None:
        self.now = 0.0
        self.proc = proc
        self.told: list[Reading] = []
        self.pids: dict[str, int] = {}
        self.readings = MachineReadings(
            lambda: self.pids, self.told.append, 15.0, None, proc, lambda: self.now
        )

    def process(self, pid: int, seconds: float, **changes: object) -> None:
        (self.proc / str(pid)).mkdir(exist_ok=True)
        line = stat(pid, round(seconds * module._TICKS), **changes)  # type: ignore[arg-type]  # test data
        (self.proc / str(pid) / "stat").write_text(line)

    def look(self) -> list[tuple[str, float | None]]:
        return [(r.name, r.busy) for r in self.readings.engines(self.pids)]


def test_how_busy_a_process_was_is_known_from_the_second_look_on(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.pids = {"m": 7, "n": 8, "gone": 9}
    machine.process(7, 100.0, name="py) (x y")
    machine.process(8, 5.0, pages=3)
    assert machine.look() == [("m", None), ("n", None)]
    machine.now = 15.0
    machine.process(7, 122.5)
    machine.process(8, 5.0, began=6)
    assert machine.look() == [("m", 1.5), ("n", None)], "one number, another process"
    machine.now = 30.0
    assert machine.look() == [("m", 0.0), ("n", 0.0)]
    [m, n] = machine.readings.engines(machine.pids)
    assert (m.memory_bytes, n.memory_bytes) == (10 * module._PAGE, 10 * module._PAGE)
    machine.pids = {}
    assert machine.look() == []
    assert machine.readings._before == {}, "those that ended are forgotten"


@pytest.mark.parametrize("text", ["", "7 (x", "7 (x) S 1", stat(7, 1).replace(" 10 ", " x ")])
def test_what_reads_otherwise_is_left_out(text: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.pids = {"m": 7}
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(text)
    assert machine.look() == []


def test_a_real_process_is_seen_to_work_and_to_have_memory() -> None:
    code = "print('x', flush=True)\nwhile True: pass"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        readings = MachineReadings(dict, print, 15.0)
        readings.engines({"m": child.pid})

        def busy() -> bool:
            [reading] = readings.engines({"m": child.pid})
            assert reading.memory_bytes > 2 * MIB
            return bool(reading.busy and reading.busy > 0.1)

        eventually(busy)
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def test_the_table_of_gpus_is_read_and_what_is_no_number_left_out() -> None:
    text = (
        "0, NVIDIA H100 80GB HBM3, 37, 1024, 81559\n"
        "1, NVIDIA A100-SXM4-40GB, [N/A], 0, 40960\n"
        "2, NVIDIA Thor, 5, [N/A], [N/A]\n"
        "GPU is lost, 5, 1, 1, 1\n"
        "3, NVIDIA X, 5, 1\n"
        "No devices were found\n"
        "\n"
    )
    assert read_gpus(text) == [
        Reading(part="gpu", name="0 NVIDIA H100 80GB HBM3", busy=0.37, memory_bytes=1024 * MIB,
                memory_total=81559 * MIB),
        Reading(part="gpu", name="1 NVIDIA A100-SXM4-40GB", memory_bytes=0,
                memory_total=40960 * MIB),
        Reading(part="gpu", name="2 NVIDIA Thor", busy=0.05, memory_bytes=0),
    ]  # fmt: skip


def program(folder: Path, script: str) -> str:
    path = folder / "gpus"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_the_program_is_asked_for_what_is_read(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    table = "index name utilization.gpu memory.used memory.total"
    [reading] = gpus(program(tmp_path, f'echo "$@" > {asked}; echo "0, X, 1, 2, 3"'))
    assert (reading.busy, reading.memory_bytes) == (0.01, 2 * MIB)
    assert asked.read_text().split() == [
        f"--query-gpu={table.replace(' ', ',')}", "--format=csv,noheader,nounits",
    ]  # fmt: skip
    assert gpus(program(tmp_path, "echo broken; exit 9")) == []
    assert gpus(str(tmp_path / "none")) == []


async def test_gpus_are_asked_for_while_a_model_is_loaded_alone(tmp_path: Path) -> None:
    told: list[Reading] = []
    pids: dict[str, int] = {}
    readings = MachineReadings(
        lambda: pids, told.append, 15.0, program(tmp_path, "echo 0, X, 50, 1, 2"), tmp_path
    )
    await readings.look()
    assert told == []
    pids["m"] = 1
    await readings.look()
    assert [(reading.part, reading.busy) for reading in told] == [("gpu", 0.5)]


async def test_a_program_that_hangs_is_not_waited_for_and_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    ends, begun = threading.Event(), threading.Semaphore(0)

    def hangs(_: str) -> list[Reading]:
        begun.release()
        ends.wait(30)
        return []

    monkeypatch.setattr(module, "gpus", hangs)
    readings = MachineReadings(lambda: {"m": 1}, print, 15.0, "x", tmp_path)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readings.look)
            assert await trio.to_thread.run_sync(begun.acquire, True, 30.0), "it was started"
            mock_clock.jump(2 * module.GPU_SECONDS + 0.1)
        await readings.look()
        assert not begun.acquire(blocking=False), "and once only"
    finally:
        ends.set()


def test_a_program_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GPU_SECONDS", 0.1)
    assert gpus(program(tmp_path, "exec sleep 60")) == []
