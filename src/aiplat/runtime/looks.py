"""A doctor's look that the node takes at itself, because a face asked."""

from __future__ import annotations

from collections.abc import Callable

import trio

from aiplat.config.loader import Loaded
from aiplat.control.machine import DoctorReply, DoctorStep
from aiplat.domain.errors import DeadlineExceeded
from aiplat.runtime.advice import with_home
from aiplat.runtime.doctor import Doctor
from aiplat.runtime.log_lines import one_line
from aiplat.runtime.places import Places
from aiplat.runtime.reach import connect
from aiplat.runtime.steps import Step

SECONDS = 110.0
"""For a look, and one before it: less than a face waits (`control.calls.LOOKING`)."""


class Looks:
    """Takes one at a time, in a thread; who asks meanwhile shares the next.

    Arguments:
        look: takes one; blocks.
        seconds: how long one who asks waits.
    """

    def __init__(self, look: Callable[[], DoctorReply], seconds: float = SECONDS) -> None:
        self._look = look
        self._seconds = seconds
        self._turn = trio.Lock()
        self._thread = trio.CapacityLimiter(1)
        self._asked = 0
        self._last: tuple[int, DoctorReply] | None = None

    async def take(self) -> DoctorReply:
        """Give what a look finds that begins after this was asked.

        Raises:
            DeadlineExceeded: it was not done in time.
        """
        self._asked += 1
        mine = self._asked
        with trio.move_on_after(self._seconds):
            async with self._turn:
                if self._last is not None and self._last[0] >= mine:
                    return self._last[1]
                covers = self._asked
                reply = await trio.to_thread.run_sync(
                    self._look, limiter=self._thread, abandon_on_cancel=True
                )
                self._last = (covers, reply)
                return reply
        raise DeadlineExceeded(
            f"The look at each step took more than {self._seconds:g} s. `aiplat doctor` takes it "
            "in a terminal, and says each step as it is taken."
        )


def look_at(places: Places, loaded: Loaded) -> DoctorReply:
    """Take a look at the home of the node that runs in this process; blocks, and asks the node.

    Raises:
        AiplatError: nothing could be looked at.
    """
    doctor = Doctor(places, loaded, lambda step: None)
    doctor.look(connect(places))
    return DoctorReply(ok=doctor.is_well, steps=tuple(_told(step) for step in doctor.steps))


def _told(step: Step) -> DoctorStep:
    return DoctorStep(
        name=step.name, ok=step.ok, text=one_line(with_home(step.text)),
        advice=one_line(with_home(step.advice)),
    )  # fmt: skip
