"""As many threads as are quickest now, found by trying and not by guessing."""

from __future__ import annotations

from collections import Counter

import pytest

from aiplat.engine.backends.slots.threads import Threads


class Machine:
    """On which a step takes as long as `seconds` says for a count of threads."""

    def __init__(self, most: int, **seconds: float) -> None:
        self.seconds = {int(name[1:]): value for name, value in seconds.items()}
        self.count, self.clock = 0, 0.0
        self.used: Counter[int] = Counter()
        self.threads = Threads(most, self.use, lambda: self.clock)

    def use(self, count: int) -> None:
        self.count = count

    def step(self) -> str:
        self.used[self.count] += 1
        self.clock += self.seconds[self.count]
        return "done"

    def run(self, steps: int, tokens: int = 1) -> Counter[int]:
        self.used.clear()
        for _ in range(steps):
            assert self.threads.run(tokens, self.step) == "done"
        return self.used


def test_what_is_quickest_is_used_and_the_others_tried_rarely() -> None:
    assert Machine(2, _1=0.04, _2=0.02).run(400)[2] > 390
    assert Machine(2, _1=0.04, _2=0.17).run(400)[1] > 390
    middle = Machine(8, _1=0.04, _2=0.02, _4=0.03, _8=0.05)
    middle.run(100)
    assert middle.run(400)[2] > 380


def test_it_follows_the_machine() -> None:
    machine = Machine(2, _1=0.04, _2=0.02)
    assert machine.run(300).most_common(1)[0][0] == 2
    machine.seconds[2] = 0.17  # other work came
    assert machine.run(300)[1] > 250
    machine.seconds[2] = 0.02
    machine.run(600)
    assert machine.run(100)[2] > 95


def test_each_size_of_step_has_its_own() -> None:
    machine = Machine(2, _1=0.01, _2=0.02)
    machine.run(50, tokens=1)
    machine.seconds = {1: 0.4, 2: 0.2}
    machine.run(50, tokens=200)
    assert machine.run(20, tokens=200)[2] > 18
    machine.seconds = {1: 0.01, 2: 0.02}
    assert machine.run(20, tokens=1)[1] > 18


def test_one_thread_is_left_alone() -> None:
    machine = Machine(1, _0=0.01)
    assert machine.run(5) == {0: 5}  # nobody set a count


def test_an_error_of_the_step_s_is_its_own() -> None:
    machine = Machine(2, _1=0.01, _2=0.02)
    with pytest.raises(ZeroDivisionError):
        machine.threads.run(1, lambda: 1 // 0)
    machine.run(5)
