"""Calls that hang: a deadline for each, a rest after one, and few threads that are left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from aiplat.credentials.calls import MAX_LEFT, REST_SECONDS, Calls
from aiplat.credentials.errors import NoKeyring
from aiplat.credentials.vault import Vault
from tests.support.waiting import eventually

from .fake_keyring import SECRET, FakeKeyring, Hanging

SHORT = 0.5
"""Seconds for a call that hangs: enough for the others, and not much to wait."""
LATE = rf"The keyring did not answer within {SHORT:g} s: it is locked, or it hangs\. Unlock it"


def left() -> int:
    return sum(thread.name == "aiplat-keyring" for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def _none_left() -> None:
    eventually(lambda: left() == 0, what="another test's threads end")


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def hanging(answer: threading.Event) -> Callable[[threading.Event], None]:
    def job(abandoned: threading.Event) -> None:
        assert answer.wait(60)

    return job


def test_a_call_gives_what_it_gave_from_a_thread_of_its_own() -> None:
    threads = []

    def job(abandoned: threading.Event) -> int:
        threads.append(threading.current_thread())
        return 7

    assert Calls(60).run(job) == 7
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon  # a process ends, whatever hangs


def test_one_that_hangs_ends_in_time_and_the_next_does_not_wait() -> None:
    answer, clock = threading.Event(), Clock()
    calls = Calls(SHORT, now=clock)
    started = time.monotonic()
    with pytest.raises(NoKeyring, match=LATE):
        calls.run(hanging(answer))
    assert SHORT <= time.monotonic() - started < 30
    made = []
    clock.time = REST_SECONDS - 0.1
    with pytest.raises(NoKeyring, match=LATE):
        calls.run(lambda abandoned: made.append(1))
    assert not made
    clock.time = REST_SECONDS
    calls.run(lambda abandoned: made.append(1))
    assert made
    answer.set()


def test_when_the_late_one_ends_there_is_no_rest() -> None:
    answer = threading.Event()
    calls = Calls(SHORT, now=Clock())
    with pytest.raises(NoKeyring, match=LATE):
        calls.run(hanging(answer))
    answer.set()
    eventually(lambda: left() == 0)
    assert calls.run(lambda abandoned: 7) == 7


def test_no_more_than_a_few_threads_are_ever_left() -> None:
    answer, clock = threading.Event(), Clock()
    calls = Calls(0.02, now=clock)
    for _ in range(MAX_LEFT + 3):
        with pytest.raises(NoKeyring):
            calls.run(hanging(answer))
        clock.time += REST_SECONDS
    assert left() == MAX_LEFT
    answer.set()


def test_who_is_no_longer_waited_for_writes_nothing() -> None:
    """Else it would write an old secret over one that was kept since."""
    keyring = FakeKeyring()
    vault = Vault("aiplat:n", lambda: keyring, Calls(SHORT))
    vault.ready()
    keyring.calls.clear()
    hung = Hanging()
    keyring.before = hung.before
    with pytest.raises(NoKeyring, match=LATE):
        vault.put("key:a", SECRET)
    hung.answer.set()
    eventually(lambda: left() == 0)
    assert keyring.calls == ["get"]
    assert not keyring.kept


def test_a_trial_that_is_no_longer_waited_for_writes_nothing() -> None:
    keyring = Hanging()
    vault = Vault("aiplat:n", lambda: keyring, Calls(SHORT))
    with pytest.raises(NoKeyring, match=LATE):
        vault.ready()
    keyring.answer.set()
    eventually(lambda: left() == 0)
    assert keyring.calls == ["get"]
    vault.ready()


def test_to_look_for_a_keyring_has_a_deadline_too() -> None:
    answer = threading.Event()

    def looking() -> FakeKeyring:
        assert answer.wait(60)
        return FakeKeyring()

    with pytest.raises(NoKeyring, match=LATE):
        Vault("aiplat:n", looking, Calls(SHORT)).ready()
    answer.set()


@pytest.mark.parametrize("fault", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_whatever_a_call_raises_is_a_sentence(fault: BaseException) -> None:
    def job(abandoned: threading.Event) -> None:
        raise fault

    with pytest.raises(NoKeyring, match=rf"cannot be reached \({type(fault).__name__}\)"):
        Calls(60).run(job)


def test_what_a_call_knew_does_not_leave_it_with_its_failure() -> None:
    def job(abandoned: threading.Event) -> None:
        known = SECRET[:4] + SECRET[4:]
        raise NoKeyring("It failed.", f"Mend it; {len(known)}.")

    with pytest.raises(NoKeyring) as caught:
        Calls(60).run(job)
    assert "known" not in {name for entry in caught.traceback for name in entry.frame.f_locals}
