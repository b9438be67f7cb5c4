"""How busy this machine is, and who typed last, read from /proc and /dev as Linux has them."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import trio

from aiplat.domain.errors import ConfigError
from aiplat.engine.memory import machine_mib
from aiplat.roles.sharing_idle import Reading

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_TERMINAL = re.compile(r"(?:tty[1-9]\d*|ttyS\d+|pts/\d+)\Z")


class Machine:
    """Reads one machine.

    Arguments:
        root: the process whose descendants are ours, it too.
        proc, dev: the folders of processes and devices.
        now: a clock that only goes forward, in seconds.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        root: int | None = None,
        proc: Path = Path("/proc"),
        dev: Path = Path("/dev"),
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._root = os.getpid() if root is None else root
        self._proc = proc
        self._dev = dev
        self._now = now
        self._wall = wall

    def check(self) -> None:
        """See that it can be read.

        Raises:
            ConfigError: this system tells nothing, so that `--idle-only` cannot be kept.
        """
        try:
            self.read()
        except (OSError, ValueError, IndexError) as fault:
            raise ConfigError(
                f"How busy this machine is cannot be read from {self._proc} ({fault}): share it "
                "with --hours instead of --idle-only."
            ) from None

    async def take(self) -> Reading:
        """Take a reading in a thread: with many processes it takes a while."""
        return await trio.to_thread.run_sync(self.read)

    def read(self) -> Reading:
        """Take a reading.

        Raises:
            OSError: there is no such file here.
            ValueError, IndexError: a file reads otherwise than on Linux.
        """
        ours = self._ours()  # first: what works meanwhile counts as others', never as ours
        busy, cores = self._cpus()
        return Reading(self._now(), busy, ours, cores, self._input_seconds())

    def _cpus(self) -> tuple[float, int]:
        """Seconds that all CPUs worked (proc(5), /proc/stat), and how many there are."""
        lines = (self._proc / "stat").read_text().splitlines()
        user, nice, system, _idle, _wait, irq, softirq = map(int, lines[0].split()[1:8])
        cores = sum(re.match(r"cpu\d", line) is not None for line in lines)
        return (user + nice + system + irq + softirq) / _TICKS, max(1, cores)

    def _ours(self) -> float:
        """Seconds that the root and all below it worked, and those below it that have ended."""
        children: dict[int, list[int]] = {}
        worked: dict[int, int] = {}
        for folder in self._proc.iterdir():
            if not folder.name.isdecimal():
                continue
            with contextlib.suppress(OSError, ValueError, IndexError):  # it ended just now
                # The name in brackets may hold anything.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(folder.name))
                worked[int(folder.name)] = sum(map(int, fields[11:15]))
        total, todo = 0, [self._root]
        while todo:
            pid = todo.pop()
            total += worked.pop(pid, 0)
            todo += children.pop(pid, ())
        return total / _TICKS

    def _input_seconds(self) -> float | None:
        """How long ago somebody typed: Linux notes when a terminal was last read from."""
        times = [time for time in map(_last_read, self._terminals()) if time is not None]
        if not times:
            return None
        return max(0.0, self._wall() - max(times))

    def _terminals(self) -> Iterable[Path]:
        for folder in (self._dev, self._dev / "pts"):
            with contextlib.suppress(OSError):
                for path in folder.iterdir():
                    if _TERMINAL.match(str(path.relative_to(self._dev))):
                        yield path


def _last_read(terminal: Path) -> float | None:
    try:
        return terminal.stat().st_atime
    except OSError:
        return None


def memory_mib(root: Path = Path("/")) -> int:
    """What this machine, or its control group, has of memory, in MiB.

    Raises:
        ConfigError: it does not tell.
    """
    found = machine_mib(root)
    if found is None:
        raise ConfigError(
            "How much memory this machine has cannot be read: give --max-memory a size in place "
            "of a share."
        )
    return found
