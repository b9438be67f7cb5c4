"""Starts an engine's process and ends it. Knows no frame."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import trio

from aiplat.engine.backend import Plan

log = logging.getLogger("aiplat.engine.process")

_KILL_SECONDS = 10.0
_MAX_LOG = 4 * 1024 * 1024
_KEPT = (
    "PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT",
    "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "HF_HOME",
    "CUDA_VISIBLE_DEVICES",
)  # fmt: skip
_KEPT_BEGINNINGS = ("LC_", "COVERAGE_")


def environment(node: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment of an engine: named, not inherited, so that no key is in it.

    Arguments:
        node: the node's own.
        threads: of the plan; 0 takes one a core that this process may use.
    """
    kept = {
        name: value
        for name, value in node.items()
        if name in _KEPT or name.startswith(_KEPT_BEGINNINGS)
    }
    count = str(threads or cores())
    return {
        **kept,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # Between two products of a step a thread waits awake, about 0.1 ms; then it sleeps: waking
        # costs as much as a product, and waiting longer burns the cores that others wait for.
        "GOMP_SPINCOUNT": "30000",
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "PYTHONUNBUFFERED": "1",
    }


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Child:
    """A running engine process, its pipes, and the lifeline that it ends with.

    Make it with `start`; `end` it, whatever happened.
    """

    def __init__(self, process: trio.Process, lifeline: int) -> None:
        self.process = process
        self._lifeline = lifeline

    @classmethod
    async def start(cls, plan: Plan, log: Path) -> Child:
        """Start the process for `plan`; what it prints goes to the end of `log`.

        Raises:
            OSError: it could not be started.
        """
        theirs, ours = os.pipe()
        try:
            given = msgspec.json.encode(msgspec.structs.replace(plan, lifeline=theirs)).decode()
            # -P: what lies in the folder that the node was started in is not imported.
            command = [sys.executable, "-P", "-m", "aiplat.engine.worker", given]
            stderr = _open_log(log)
            try:
                process = await trio.lowlevel.open_process(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env=environment(os.environ, plan.threads),
                    pass_fds=(theirs,),
                )
            finally:
                os.close(stderr)
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return cls(process, ours)

    def kill(self) -> None:
        """End it now."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def end(self, seconds: float) -> None:
        """Close its input, wait `seconds` for it to go, then kill it. Not to be cancelled."""
        with trio.CancelScope(shield=True):
            if self.process.stdin is not None:
                await trio.aclose_forcefully(self.process.stdin)
            with trio.move_on_after(seconds):
                await self.process.wait()
            if self.process.returncode is None:
                self.kill()
                with trio.move_on_after(_KILL_SECONDS) as scope:
                    await self.process.wait()
                if scope.cancelled_caught:  # it hangs in the kernel, with a driver or a disk
                    log.error("the engine's process %d does not end", self.process.pid)
            if self.process.stdout is not None:
                await trio.aclose_forcefully(self.process.stdout)
            if self._lifeline >= 0:
                os.close(self._lifeline)
                self._lifeline = -1


def _open_log(log: Path) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _MAX_LOG:
        log.replace(log.with_name(log.name + ".1"))
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def how_it_ended(status: int | None) -> str:
    """Say how a process ended, in words that follow its name."""
    if status is None:
        return "closed its pipe"
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return f"was killed ({name})"
    return f"ended by itself with status {status}"
