"""The counters of the virtual token counter: lifted, kept and forgotten."""

from __future__ import annotations

from aiplat.engine.fairness import _MOST_TAGS, Fairness


def test_who_comes_back_is_lifted_to_the_least_of_the_active() -> None:
    fairness = Fairness()
    fairness.began("a")
    fairness.began("b")
    fairness.charge("a", 100)
    fairness.charge("b", 40)
    fairness.began("new")
    assert fairness.had("new") == 40  # what it might have had while it was away is no claim
    fairness.charge("b", 30)
    fairness.ended("new")
    fairness.began("new")
    assert fairness.had("new") == 70


def test_leaving_for_a_moment_wipes_nothing_out() -> None:
    fairness = Fairness()
    fairness.began("a")
    fairness.began("b")
    fairness.charge("a", 500)
    fairness.ended("a")
    fairness.began("a")
    assert fairness.had("a") == 500
    fairness.ended("a")
    fairness.ended("b")
    fairness.began("a")
    assert fairness.had("a") == 500  # also when nobody was there for a while


def test_a_second_request_is_the_same_user() -> None:
    fairness = Fairness()
    fairness.began("a")
    fairness.charge("a", 5)
    fairness.began("a")
    fairness.ended("a")
    assert fairness.had("a") == 5


def test_tags_without_end_are_not_all_kept() -> None:
    fairness = Fairness()
    fairness.began("there")
    for number in range(2 * _MOST_TAGS):
        tag = str(number)
        fairness.began(tag)
        fairness.charge(tag, 1 + number)
        fairness.ended(tag)
    assert len(fairness._counters) <= _MOST_TAGS + 1
    latest = str(2 * _MOST_TAGS - 1)
    fairness.began(latest)
    assert fairness.had(latest) == 2 * _MOST_TAGS
