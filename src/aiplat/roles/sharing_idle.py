"""Whether a machine is idle: judged from readings, of which it takes none itself."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """A machine at a moment.

    Arguments:
        at: seconds, on any clock that only goes forward.
        busy: seconds that its CPUs have worked in all, on whatever.
        ours: of those, this node and its engines.
        cores: how many CPUs it has.
        input_seconds: how long ago somebody typed at a terminal; None where nobody can.
    """

    at: float
    busy: float
    ours: float
    cores: int
    input_seconds: float | None = None


class Idleness:
    """What the last readings say. It is not idle before they span a whole window.

    Arguments:
        most_cpu: the share of all CPUs that other programs may take, on average over the window.
        window: seconds.
        input_seconds: how long nobody may have typed.
    """

    def __init__(self, most_cpu: float, window: float, input_seconds: float) -> None:
        self._most_cpu = most_cpu
        self._window = window
        self._input_seconds = input_seconds
        self._readings: deque[Reading] = deque()

    def add(self, reading: Reading) -> None:
        """Take the next reading; those that the window no longer needs are dropped."""
        readings = self._readings
        readings.append(reading)
        while len(readings) > 2 and readings[1].at <= reading.at - self._window:
            readings.popleft()

    def forget(self) -> None:
        """Begin anew."""
        self._readings.clear()

    @property
    def others_cpu(self) -> float | None:
        """The share of all CPUs that other programs took; None before there are two readings."""
        if len(self._readings) < 2:
            return None
        first, last = self._readings[0], self._readings[-1]
        seconds = (last.at - first.at) * last.cores
        if seconds <= 0:
            return None
        others = (last.busy - first.busy) - (last.ours - first.ours)
        return min(1.0, max(0.0, others / seconds))

    @property
    def input_seconds(self) -> float | None:
        """How long ago somebody typed."""
        return self._readings[-1].input_seconds if self._readings else None

    @property
    def why_not(self) -> str:
        """Why it is not idle, in words; empty when it is."""
        if not self._readings:
            return "nothing was measured yet"
        typed, cpu = self.input_seconds, self.others_cpu
        if typed is not None and typed < self._input_seconds:
            return f"somebody typed {_ago(typed)} ago"
        if not self._is_measured:
            return f"it is watched for {self._window:g} s first"
        if cpu is not None and cpu >= self._most_cpu:
            return f"other programs take {cpu:.0%} of the CPUs"
        return ""

    @property
    def is_used(self) -> bool:
        """Whether somebody is known to use it, and not just that nothing is known yet."""
        typed = self.input_seconds
        is_typed_at = typed is not None and typed < self._input_seconds
        return bool(self.why_not) and (is_typed_at or self._is_measured)

    @property
    def _is_measured(self) -> bool:
        readings = self._readings
        return bool(readings) and readings[-1].at - readings[0].at >= self._window


def _ago(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
