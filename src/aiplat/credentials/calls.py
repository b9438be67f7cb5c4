"""Calls that may hang, each in a thread with a deadline. A thread that is late is left behind.

A locked keyring may wait for a person who types its password, or for nobody. Nothing ends a thread
from outside, so the late ones are bounded: while one is still at it there is no further call for a
while, and no more than a few are ever left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from aiplat.credentials.errors import NoKeyring, explain, too_late

REST_SECONDS = 30.0
"""No further call while a late one goes on, for so long."""
MAX_LEFT = 4
"""Threads left behind at once; then there is no further call until one of them has ended."""

T = TypeVar("T")
Job = Callable[[threading.Event], T]
"""What is to be done. The event is set when nobody waits for it any more: a job looks before it
changes anything, for what it would change may have been done anew by then."""


class Calls:
    """One call at a time.

    Arguments:
        seconds: how long each may take, and wait for its turn.
        now: a clock, in seconds, that does not jump.
    """

    def __init__(self, seconds: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._now = now
        self._turn = threading.Lock()
        self._left: list[threading.Thread] = []
        self._rest_until = 0.0

    def run(self, job: Job[T]) -> T:
        """Do `job` and give what it gave.

        Raises:
            NoKeyring: it did not end in time, or raised anything; or one before it still hangs.
        """
        if not self._turn.acquire(timeout=self._seconds):
            raise too_late(self._seconds)
        try:
            self._left = [thread for thread in self._left if thread.is_alive()]
            resting = bool(self._left) and self._now() < self._rest_until
            if resting or len(self._left) >= MAX_LEFT:
                raise too_late(self._seconds)
            call = _Call(job)
            call.start()
            if not call.done.wait(self._seconds):
                call.abandoned.set()
                self._left.append(call)
                self._rest_until = self._now() + REST_SECONDS
                raise too_late(self._seconds)
        finally:
            self._turn.release()
        return call.outcome()


class _Call(threading.Thread, Generic[T]):
    """One call; `done` is set at its end."""

    def __init__(self, job: Job[T]) -> None:
        super().__init__(name="aiplat-keyring", daemon=True)
        self.done = threading.Event()
        self.abandoned = threading.Event()
        self._job = job
        self._given: list[T] = []
        self._fault: NoKeyring | None = None

    def run(self) -> None:
        try:
            self._given.append(self._job(self.abandoned))
        except BaseException as fault:  # noqa: BLE001 - it ends here, and a sentence goes on
            # Without its traceback, whose frames hold the secret.
            self._fault = explain(fault).with_traceback(None)
        finally:
            self.done.set()

    def outcome(self) -> T:
        """What the job gave. For when `done` is set."""
        if self._fault is not None:
            raise self._fault
        return self._given[0]
