"""How much memory a process and all below it have (PSS), now and at most."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

_SECONDS = 1.0  # between two looks
_IDLE = 50  # times what a look took, before the next: it takes milliseconds for each GiB


def tree(pid: int) -> list[int]:
    """The process and all below it, parents first."""
    found = [pid]
    for parent in found:  # it grows as it is walked
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                pass  # the thread has ended
    return found


def pss_mib(pid: int) -> float:
    """The proportional set size of the tree in MiB: pages shared with others count in part."""
    total = 0
    for one in tree(pid):
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue  # it has ended
        total += sum(int(x.split()[1]) for x in rollup.splitlines() if x.startswith("Pss:"))
    return total / 1024


class Peak:
    """The most that a tree had while this context was open, looked at now and then."""

    def __init__(self, pid: int) -> None:
        self.mib = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)  # it looks once more

    def _watch(self) -> None:
        ended = False
        while True:
            began = time.perf_counter()
            self.mib = max(self.mib, pss_mib(self._pid))
            if ended:
                return
            ended = self._over.wait(max(_SECONDS, _IDLE * (time.perf_counter() - began)))


def end_all() -> None:
    """Kill every process below this one."""
    for pid in reversed(tree(os.getpid())[1:]):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it was faster
