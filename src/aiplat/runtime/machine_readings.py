"""How busy the engines' processes and the GPUs are, looked at now and then for the series.

Processes are read from /proc as Linux has it, GPUs asked of NVIDIA's own program, where it is
there: no library of a GPU is in the node's process. What cannot be read is left out.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import trio

from aiplat.engine.interface import Engine
from aiplat.engine.process import EngineProcess
from aiplat.series.seen import Reading

log = logging.getLogger("aiplat.runtime")

GPU_SECONDS = 5.0
"""The program takes under a second, but some when a driver was asleep; a sick one for ever."""
_FIELDS = "index,name,utilization.gpu,memory.used,memory.total"
_MIB = 1024 * 1024
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class MachineReadings:
    """Looks at this machine while a model is loaded.

    Arguments:
        pids: the engines' processes by their model, those that run now.
        tell: hears of each reading (`Series.machine`).
        seconds: between two looks.
        program: asked for the GPUs; None where there is none.
        proc: the folder of processes.
        now: a clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        pids: Callable[[], Mapping[str, int]],
        tell: Callable[[Reading], None],
        seconds: float,
        program: str | None = None,
        proc: Path = Path("/proc"),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pids = pids
        self._tell = tell
        self._seconds = seconds
        self._program = program
        self._proc = proc
        self._now = now
        self._before: dict[tuple[int, str], tuple[float, float]] = {}
        self._one = trio.CapacityLimiter(1)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look again and again, until cancelled."""
        task_status.started()
        while True:
            await self.look()
            await trio.sleep(self._seconds)

    async def look(self) -> None:
        """Look once, and tell what there is."""
        pids = dict(self._pids())
        for reading in self.engines(pids):
            self._tell(reading)
        if pids and self._program is not None and self._one.available_tokens:
            # A program that hangs in the driver cannot even be killed: nobody waits for it, and
            # while it is there no other is started.
            with trio.move_on_after(2 * GPU_SECONDS):
                for reading in await trio.to_thread.run_sync(
                    gpus, self._program, abandon_on_cancel=True, limiter=self._one
                ):
                    self._tell(reading)

    def engines(self, pids: Mapping[str, int]) -> list[Reading]:
        """Look at the processes; how busy one was is known from the second look on."""
        found, seen = [], {}
        for model, pid in pids.items():
            try:
                worked, began, memory = self._read(pid)
            except (OSError, ValueError, IndexError):  # it ended just now, or this is no Linux
                continue
            now = self._now()
            before = self._before.get((pid, began))
            seen[pid, began] = (now, worked)
            busy = None
            if before is not None and now > before[0]:
                busy = (worked - before[1]) / (now - before[0])
            found.append(Reading(part="engine", name=model, busy=busy, memory_bytes=memory))
        self._before = seen
        return found

    def _read(self, pid: int) -> tuple[float, str, int]:
        """Seconds of CPU, when it began (numbers come again), resident bytes (proc(5), stat)."""
        text = (self._proc / str(pid) / "stat").read_text()
        fields = text.rpartition(")")[2].split()  # the name in brackets may hold anything
        worked = (int(fields[11]) + int(fields[12])) / _TICKS
        return worked, fields[19], int(fields[21]) * _PAGE


def pids_of(engines: Iterable[Engine]) -> dict[str, int]:
    """Tell the processes of those engines that have one now, by their model."""
    return {
        engine.name: engine.pid
        for engine in engines if isinstance(engine, EngineProcess) and engine.pid is not None
    }  # fmt: skip


def gpu_program() -> str | None:
    """Find NVIDIA's program, if this machine has it."""
    return shutil.which("nvidia-smi")


def gpus(program: str) -> list[Reading]:
    """Ask for the GPUs. Blocking, for at most `GPU_SECONDS` as long as the driver lives."""
    try:
        done = subprocess.run(
            [program, f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=GPU_SECONDS, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as fault:
        log.debug("%s did not tell of the GPUs: %s", program, fault)
        return []
    return read_gpus(done.stdout.decode("utf-8", "replace"))


def read_gpus(text: str) -> list[Reading]:
    """Read its table: a line a GPU, memory in MiB, ``[N/A]`` for what one does not tell.

    GPUs that share the machine's memory tell none of their own: that is 0.
    """
    found = []
    for row in csv.reader(io.StringIO(text), skipinitialspace=True):
        try:
            number, name, share, used, total = row
            reading = Reading(
                part="gpu", name=f"{int(number)} {name}"[:100],
                busy=int(share) / 100 if share.isdecimal() else None,
                memory_bytes=_bytes(used), memory_total=_bytes(total),
            )  # fmt: skip
        except ValueError:  # another number of fields, or no number
            continue
        found.append(reading)
    return found


def _bytes(mib: str) -> int:
    return int(mib) * _MIB if mib.isdecimal() else 0
