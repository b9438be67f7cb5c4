"""The heartbeat: silence is believed in time, and one's own standstill is not held against it."""

from __future__ import annotations

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
