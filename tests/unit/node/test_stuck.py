"""A peer that lives and gets nothing done, on a clock set by hand."""

from __future__ import annotations

from aiplat.node.stuck import FrameWatch, Owing


def test_who_never_ends_a_frame_is_stuck() -> None:
    watch = FrameWatch(60.0)
    assert not watch.look(7, 0.0, in_frame=False)
    assert not watch.look(7, 100.0, in_frame=True)  # it began at some time since the last look
    assert not watch.look(7, 159.0, in_frame=True)
    assert watch.look(7, 160.0, in_frame=True)


def test_who_is_always_in_a_frame_but_another_is_not_stuck() -> None:
    watch = FrameWatch(60.0)
    assert not any(watch.look(now // 59, now, in_frame=True) for now in range(600))


def test_between_two_frames_nobody_is_stuck() -> None:
    watch = FrameWatch(60.0)
    assert not watch.look(1, 0.0, in_frame=True)
    assert not watch.look(2, 59.0, in_frame=False)
    assert not watch.look(2, 61.0, in_frame=True)
    assert not watch.look(2, 120.0, in_frame=True)
    assert watch.look(2, 121.0, in_frame=True)


def test_who_answers_keeps_nobody_waiting() -> None:
    owing = Owing()
    for number in range(100):
        owing.owes(number, float(number))
        assert not owing.look(float(number), 5.0)
        owing.settled(number)


def test_an_answer_that_never_comes_is_seen_behind_those_that_do() -> None:
    owing = Owing()
    owing.owes(1, 0.0)
    for number in range(2, 12):
        owing.owes(number, float(number))
        owing.settled(number)
    assert not owing.look(10.0, 10.0)
    assert not owing.look(11.0, 10.0), "once may be our own standstill: it may lie unread"
    assert owing.look(12.0, 10.0)


def test_what_was_only_unread_is_held_against_nobody() -> None:
    owing = Owing()
    owing.owes(1, 0.0)
    assert not owing.look(60.0, 10.0)
    owing.settled(1)
    owing.owes(2, 60.0)
    assert not owing.look(61.0, 10.0)
    assert not owing.look(71.5, 10.0)
