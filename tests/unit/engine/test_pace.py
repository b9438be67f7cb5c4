"""How much of a prompt a step reads: as much as fits into its time, whatever the fixed part is."""

from __future__ import annotations

import pytest

from aiplat.engine.pace import Line, Pace
from aiplat.engine.rows import Piece


def pieces(answering: int, reading: int) -> list[Piece]:
    found = [Piece(None, n, 0, [1], True) for n in range(answering)]  # type: ignore[arg-type]  # a row is not looked at
    return [*found, Piece(None, 99, 0, [1] * reading, False)] if reading else found  # type: ignore[arg-type]  # a row is not looked at


@pytest.mark.parametrize(
    ("fixed", "each", "expected"),
    [
        (0.0, 0.002, 100),
        (0.1, 0.002, 50),
        (0.02, 0.0005, 360),
        (0.02, 0.00001, 512),
        (0.5, 0.1, 16),
    ],
)
def test_it_reads_what_fits_beside_the_fixed_part_of_a_step(
    fixed: float, each: float, expected: int
) -> None:
    pace = Pace(0.2, 512)
    for _ in range(40):
        for answering, reading in ((4, pace.budget(4)), (4, 0), (1, 0)):
            step = pieces(answering, reading)
            pace.took(step, fixed + each * sum(len(piece.ids) for piece in step))
    assert pace.budget(0) == pytest.approx(expected, abs=4)


def test_a_machine_that_becomes_slower_reads_less_at_once() -> None:
    pace = Pace(0.2, 512)
    for each in (0.0005, 0.005):
        for _ in range(60):
            pace.took(pieces(1, pace.budget(1)), 0.01 + each * (pace.budget(1) + 1))
            pace.took(pieces(1, 0), 0.01 + each)
    assert pace.budget(0) == pytest.approx(38, abs=3)


def test_steps_that_are_all_alike_say_only_their_mean() -> None:
    line = Line()
    for _ in range(5):
        line.add(50, 0.1)
    assert line.fits(0.2) == pytest.approx(100)
