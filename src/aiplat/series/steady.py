"""Whether the clock on the wall can be believed, before anything is deleted by it. Pure."""

from __future__ import annotations

JUMP_SECONDS = 60.0
STEADY_SECONDS = 600.0


class Steady:
    """A clock that jumped is not believed until it went on steadily for a while.

    One that shows a wrong year for a moment would else cost all that is kept.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._since: float | None = None

    def believes(self, wall: float, steady: float) -> bool:
        """Look at both clocks.

        Arguments:
            wall: seconds since 1970.
            steady: seconds of a clock that only goes forward.
        """
        offset = wall - steady
        if self._offset is not None and abs(offset - self._offset) > JUMP_SECONDS:
            self._since = steady
        self._offset = offset
        return self._since is None or steady - self._since >= STEADY_SECONDS
