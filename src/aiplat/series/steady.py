"""Whether the clock on the wall can be believed, before anything is deleted by it. Pure."""

from __future__ import annotations

JUMP_SECONDS = 60.0
STEADY_SECONDS = 600.0


class Steady:
    """A clock is believed when it went on steadily for a while: at the start, and after a jump.

    One that shows a wrong year for a moment would else cost all that is kept. A machine without a
    clock of its own starts with a wrong one, until the network has told it the time.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._since = 0.0

    def believes(self, wall: float, steady: float) -> bool:
        """Look at both clocks; the first look begins the while.

        Arguments:
            wall: seconds since 1970.
            steady: seconds of a clock that only goes forward.
        """
        offset = wall - steady
        if self._offset is None or abs(offset - self._offset) > JUMP_SECONDS:
            self._since = steady
        self._offset = offset
        return steady - self._since >= STEADY_SECONDS
