"""Whether a machine is idle, judged from readings that were made up."""

from __future__ import annotations

from aiplat.roles.sharing_idle import Idleness, Reading


def a_judge() -> Idleness:
    return Idleness(0.25, 60.0, 300.0)


def watched(judge: Idleness, others: float, *, ours: float = 0.0, typed: float | None = None,
            begin: int = 0, count: int = 13, cores: int = 4) -> Idleness:  # fmt: skip
    """A reading each 5 s, in which others and we take these shares of each core."""
    for n in range(begin, begin + count):
        seconds = 5.0 * n * cores
        judge.add(Reading(5.0 * n, (others + ours) * seconds, ours * seconds, cores, typed))
    return judge


def test_it_is_idle_when_a_whole_window_was_quiet_whatever_we_do_ourselves() -> None:
    judge = a_judge()
    assert judge.why_not == "nothing was measured yet"
    watched(judge, 0.2, ours=0.8, count=12)
    assert judge.why_not == "it is watched for 60 s first"
    assert not judge.is_used, "that is not known"
    watched(judge, 0.2, ours=0.8, begin=12, count=1)
    assert judge.why_not == ""
    assert not judge.is_used


def test_other_programs_use_it_when_they_take_their_share() -> None:
    judge = watched(a_judge(), 0.3)
    assert judge.why_not == "other programs take 30% of the CPUs"
    assert judge.is_used
    judge.forget()
    assert judge.why_not == "nothing was measured yet"


def test_the_window_moves_on() -> None:
    judge = watched(a_judge(), 1.0, count=13, cores=1)
    busy = 60.0
    for n in range(13, 13 + 9):  # 45 s of quiet: 15 of 60 s were busy
        judge.add(Reading(5.0 * n, busy, 0.0, 1))
    assert judge.is_used
    judge.add(Reading(5.0 * 22, busy, 0.0, 1))
    assert judge.why_not == ""


def test_who_types_uses_it_at_once() -> None:
    judge = watched(a_judge(), 0.0, typed=299.0, count=1)
    assert judge.is_used
    assert judge.why_not == "somebody typed 5 min ago"
    assert watched(a_judge(), 0.0, typed=4.0, count=1).why_not == "somebody typed 4 s ago"
    assert watched(a_judge(), 0.0, typed=300.0).why_not == ""
    assert watched(Idleness(0.25, 60.0, 0.0), 0.0, typed=0.0).why_not == "", "0 ignores terminals"


def test_a_clock_that_stands_still_says_nothing() -> None:
    judge = a_judge()
    judge.add(Reading(1.0, 5.0, 0.0, 1))
    judge.add(Reading(1.0, 9.0, 0.0, 1))
    assert judge.others_cpu is None
