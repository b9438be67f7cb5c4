"""The heartbeat: silence is believed in time, and one's own standstill is not held against it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from aiplat.node.pulse import Pulse


def test_it_beats_at_each_interval() -> None:
    pulse = Pulse(100.0, 1.0, 3.0)
    assert pulse.beat(100.0) is not None
    assert pulse.beat(100.5) is None
    assert pulse.due == 101.0
    assert pulse.beat(101.0) is not None


def test_silence_is_noticed_when_it_is_reached() -> None:
    pulse = Pulse(0.0, 1.0, 2.5)
    now = 0.0
    while not pulse.look(now):
        pulse.beat(now)
        assert pulse.due > now
        now = pulse.due
    assert now == 2.5  # not at the next beat, 3.0


def test_a_byte_starts_the_silence_anew() -> None:
    pulse = Pulse(0.0, 1.0, 3.0)
    for now in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0):
        pulse.heard(now - 0.5)
        assert not pulse.look(now)
        pulse.beat(now)


def test_our_own_standstill_is_not_the_peers_silence() -> None:
    """A node whose own loop stood still for 3.6 s blamed its peer."""
    pulse = Pulse(0.0, 1.0, 3.0)
    pulse.heard(0.9)
    assert not pulse.look(pulse.due)
    pulse.beat(1.0)
    assert not pulse.look(1.0 + 1.0 + 3.6)  # 3.6 s late
    pulse.beat(5.6)
    pulse.heard(5.7)
    assert not pulse.look(6.6)


def test_a_peer_that_died_during_our_standstill_is_still_noticed() -> None:
    pulse = Pulse(0.0, 1.0, 3.0)
    assert not pulse.look(10.0)  # due at 0.0
    now = 10.0
    while not pulse.look(now):
        pulse.beat(now)
        now = pulse.due
    assert now <= 13.0


def test_the_latency_is_of_the_last_beat_alone() -> None:
    pulse = Pulse(0.0, 1.0, 3.0)
    first = pulse.beat(0.0)
    assert first is not None
    pulse.answered(first, 0.25)
    assert pulse.latency == 0.25
    second = pulse.beat(1.0)
    assert second is not None
    pulse.answered(first, 1.5)
    assert pulse.latency == 0.25
    pulse.answered(second, 1.125)
    assert pulse.latency == 0.125


@pytest.mark.parametrize("offset", [0.0, 0.3, 0.99])
@pytest.mark.parametrize("trip", [0.001, 0.4])
def test_of_two_with_nothing_to_say_one_asks_and_both_know(offset: float, trip: float) -> None:
    """A channel that idles costs half of what it would if both asked."""
    sides = Pulse(0.0, 1.0, 3.0), Pulse(offset, 1.0, 3.0, leads=False)
    arrivals: list[tuple[float, int, str, int]] = []
    heard: dict[int, list[float]] = {0: [0.0], 1: [offset]}
    beats, now = 0, 0.0
    while now < 60:
        now = min(*(pulse.due for pulse in sides), *(arrival[0] for arrival in arrivals))
        for arrival in [a for a in arrivals if a[0] <= now]:
            arrivals.remove(arrival)
            _, side, kind, nonce = arrival
            sides[side].heard(now)
            heard[side].append(now)
            if kind == "ping":
                sides[side].said(now)
                arrivals.append((now + trip / 2, 1 - side, "pong", nonce))
            else:
                sides[side].answered(nonce, now)
        for number, pulse in enumerate(sides):
            if pulse.due <= now:
                assert not pulse.look(now)
                asked = pulse.beat(now)
                if asked is not None:
                    beats += 1
                    pulse.said(now)
                    arrivals.append((now + trip / 2, 1 - number, "ping", asked))
    assert beats < 60 * 1.3
    for number, pulse in enumerate(sides):
        assert pulse.latency == pytest.approx(trip)
        gaps = [after - before for before, after in pairwise(heard[number])]
        assert max(gaps) <= 1.0 + 2 * trip


def test_who_says_much_asks_now_and_then_how_long_an_answer_takes() -> None:
    pulse = Pulse(0.0, 1.0, 3.0)
    assert beats_of(pulse, says=True) == [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]


def test_who_hears_much_and_says_nothing_asks_at_each_interval() -> None:
    """Else the peer, which sends a long prompt over a slow link, would hear nothing."""
    assert len(beats_of(Pulse(0.0, 1.0, 3.0), says=False)) == 30
    assert len(beats_of(Pulse(0.0, 1.0, 3.0, leads=False), says=False)) == 20


def beats_of(pulse: Pulse, *, says: bool) -> list[float]:
    """When it asks within 30 s, in which it hears something all the time."""
    asked = []
    for tick in range(300):
        now = tick / 10
        pulse.heard(now)
        if says:
            pulse.said(now)
        assert not pulse.look(now)
        if pulse.beat(now) is not None:
            asked.append(now)
    return asked
