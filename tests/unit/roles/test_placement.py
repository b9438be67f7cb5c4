"""The choice of a processor: the formula by hand, and what is measured apart from what is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.ids import PeerId
from aiplat.domain.models import ModelOffer
from aiplat.protocol.offers import FASTEST, SLOWEST
from aiplat.roles.placement import (
    TYPICAL_ANSWER_TOKENS,
    UNKNOWN_SPEED,
    Candidate,
    choose,
    expected_wait,
)
from tests.support.scripted import offer


def candidate(
    name: str = "p", in_flight: int = 0, latency: float = 0.0, measured: float = 0.0, **of: object
) -> Candidate:
    return Candidate(PeerId(name), offer(**of), in_flight, latency, measured)  # type: ignore[arg-type]  # test data


def test_with_a_free_slot_the_wait_is_the_round_trip() -> None:
    assert expected_wait(candidate(slots=2, running=1, latency=0.03)) == 0.03


@pytest.mark.parametrize(
    ("slots", "running", "waiting", "answers"),
    [(1, 1, 0, 1.0), (1, 1, 2, 3.0), (4, 4, 0, 0.25), (4, 4, 7, 2.0)],
)
def test_with_none_free_it_is_the_queue_over_the_slots(
    slots: int, running: int, waiting: int, answers: float
) -> None:
    """Who comes next waits for `waiting + 1` answers to end, of which `slots` run side by side."""
    busy = candidate(
        slots=slots, running=running, waiting=waiting, latency=0.5, tokens_per_second=64.0
    )
    one_answer = TYPICAL_ANSWER_TOKENS / 64.0
    assert expected_wait(busy) == pytest.approx(0.5 + answers * one_answer)


def test_what_was_measured_counts_and_what_is_announced_only_until_then() -> None:
    told = candidate(slots=1, running=1, tokens_per_second=1000.0)
    seen = candidate(slots=1, running=1, tokens_per_second=1000.0, measured=10.0)
    unknown = candidate(slots=1, running=1)
    assert (told.speed, seen.speed, unknown.speed) == (1000.0, 10.0, UNKNOWN_SPEED)
    assert expected_wait(seen) == 100 * expected_wait(told)
    assert seen.offer.tokens_per_second == 1000.0, "what it says of itself is kept apart"


def test_what_was_placed_since_the_announcement_counts() -> None:
    assert candidate(running=1, waiting=1, in_flight=5).load == 5
    assert candidate(running=4, waiting=3, in_flight=5).load == 7, "others' requests are in it"


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ({"latency": 0.4}, {"latency": 0.1}),
        ({"slots": 1, "running": 1}, {"slots": 1, "running": 0}),
        ({"slots": 4, "running": 2}, {"slots": 8, "running": 2}),
        (
            {"measured": 10.0, "slots": 1, "running": 1},
            {"measured": 80.0, "slots": 1, "running": 1},
        ),
        ({"measured": 10.0}, {"measured": 80.0}),
        ({"tokens_per_second": 10.0}, {"tokens_per_second": 80.0}),
        ({"state": "loading"}, {"running": 1}),
        ({"slots": 1, "running": 2}, {"slots": 1, "running": 1, "latency": 0.9}),
    ],
    ids=["trip", "queue", "slots", "queue's speed", "measured", "announced", "state", "room"],
)
def test_the_better_one_is_chosen_whatever_its_name(
    worse: dict[str, object], better: dict[str, object]
) -> None:
    for names in (("a", "b"), ("b", "a")):
        one, other = candidate(names[0], **worse), candidate(names[1], **better)  # type: ignore[arg-type]  # test data
        assert choose([one, other]) is other


def test_a_few_milliseconds_do_not_pile_everything_on_one() -> None:
    near, far = candidate("near", in_flight=1, latency=0.001), candidate("far", latency=0.02)
    assert choose([near, far]) is far


def test_nobody_with_room_is_nobody() -> None:
    assert choose([]) is None
    assert choose([candidate(slots=4, running=5), candidate(state="failed")]) is None


_COUNTS = st.integers(0, 64)
_SPEEDS = st.just(0.0) | st.floats(SLOWEST, FASTEST)


@given(
    st.lists(
        st.builds(
            lambda n, slots, running, waiting, flight, latency, measured, said: Candidate(
                PeerId(f"p{n}"),
                ModelOffer(
                    name="m", state="ready", slots=slots, running=running, waiting=waiting,
                    tokens_per_second=said,
                ),
                flight, latency, measured,
            ),
            st.integers(0, 10**6), st.integers(1, 64), _COUNTS, _COUNTS, _COUNTS,
            st.floats(0, 3), _SPEEDS, _SPEEDS,
        ),
        max_size=12,
    )
)  # fmt: skip
def test_the_chosen_one_has_room_and_nobody_with_room_waits_clearly_less(
    candidates: list[Candidate],
) -> None:
    with_room = [c for c in candidates if c.has_room]
    chosen = choose(candidates)
    assert (chosen is None) == (not with_room)
    if chosen is not None:
        least = min(map(expected_wait, with_room))
        assert expected_wait(chosen) <= least + 0.1 + 1e-9
