"""The limits against another limiter, and against a model that counts everything anew each time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from unittest import mock

import limits as oracle
import limits.storage.memory as oracle_memory
from hypothesis import example, given
from hypothesis import strategies as st

from aiplat.accounts.limits.limiter import Limiter, LimitHit, Reservation, Subject
from aiplat.accounts.limits.months import MOST_MONTHS
from aiplat.domain.accounts import Limits

SPAN = 60_000
"""Milliseconds; a charge that old counts still."""

# -- another limiter as the oracle ---------------------------------------------------------------


class _NoTimer:
    """The oracle's thread that drops what is old would run at chance moments; it is not needed."""

    def __init__(self, *_: object) -> None:
        pass

    def start(self) -> None:
        pass

    def is_alive(self) -> bool:
        return True


class Oracle:
    """A moving window of `limits`, on a clock of whole milliseconds."""

    def __init__(self, amount: int) -> None:
        self.now = 0
        self._item = oracle.RateLimitItemPerSecond(amount, SPAN)
        self._limiter = oracle.strategies.MovingWindowRateLimiter(oracle_memory.MemoryStorage())

    def hit(self, cost: int) -> bool:
        """Whether it lets one in."""
        return self._limiter.hit(self._item, "k", cost=cost)


@contextlib.contextmanager
def oracle_of(amount: int) -> Iterator[Oracle]:
    made: list[Oracle] = []
    clock = SimpleNamespace(time=lambda: made[0].now if made else 0)
    threads = SimpleNamespace(Timer=_NoTimer, RLock=threading.RLock)
    with (
        mock.patch.object(oracle_memory, "time", clock),
        mock.patch.object(oracle_memory, "threading", threads),
    ):
        made.append(Oracle(amount))
        yield made[0]


STEPS = st.one_of(
    st.sampled_from([0, 0, 1, SPAN - 1, SPAN, SPAN + 1, SPAN // 2, 2 * SPAN]),
    st.integers(0, 20_000),
)
"""Milliseconds between two requests; the edges of the window more often."""


@given(st.integers(1, 6), st.lists(STEPS, min_size=1, max_size=60))
def test_requests_are_let_in_as_the_oracle_does(amount: int, steps: list[int]) -> None:
    world = Clocks()
    subject = Subject("k", "the key", Limits(requests_per_minute=amount))
    with oracle_of(amount) as other:
        for step in steps:
            world.ms += step
            other.now += step
            assert world.lets_in(subject, 1) == other.hit(1)


@given(
    st.integers(1, 40),
    st.lists(st.tuples(STEPS, st.integers(1, 25)), min_size=1, max_size=60),
)
def test_tokens_are_let_in_as_the_oracle_does(amount: int, asks: list[tuple[int, int]]) -> None:
    world = Clocks()
    subject = Subject("k", "the key", Limits(tokens_per_minute=amount))
    with oracle_of(amount) as other:
        for step, cost in asks:
            world.ms += step
            other.now += step
            assert world.lets_in(subject, cost) == other.hit(cost)


class Clocks:
    """A limiter with clocks that stand still until they are moved."""

    def __init__(self) -> None:
        self.ms = 1000 * SPAN
        self.month = 100
        # Half a millisecond more, so that no float is rounded to the one before.
        self.limiter = Limiter(lambda: (self.ms + 0.5) / 1000, lambda: self.month, lambda: 1000.0)

    def lets_in(self, subject: Subject, tokens: int) -> bool:
        """Whether one is let in."""
        try:
            self.limiter.admit([subject], tokens)
        except LimitHit:
            return False
        return True


# -- a model of all rules ------------------------------------------------------------------------


@dataclass(eq=False)
class Request:
    """A request that was let in, as the model has it."""

    real: Reservation
    subjects: tuple[str, ...]
    at: int
    month: int
    parts: list[tuple[int, int]]
    """Tokens, each time with when they were added."""
    running: bool = True

    @property
    def tokens(self) -> int:
        return sum(tokens for _, tokens in self.parts)

    def shrink(self, spare: int) -> None:
        while spare:
            at, tokens = self.parts.pop()
            back = min(tokens, spare)
            spare -= back
            if back < tokens:
                self.parts.append((at, tokens - back))
        self.parts = self.parts or [(self.at, 0)]


@dataclass
class Model:
    """All requests that were ever let in. Everything is summed up anew each time."""

    requests: list[Request] = field(default_factory=list)
    months: set[int] = field(default_factory=set)
    before: dict[tuple[str, int], int] = field(default_factory=dict)
    now: int = 0

    def month(self, month: int) -> int:
        return max(month, min(self.months)) if self.months else month

    def sent(self, subject: str) -> int:
        return sum(subject in r.subjects and r.at >= self.now - SPAN for r in self.requests)

    def taken(self, subject: str) -> int:
        return sum(
            tokens
            for r in self.requests
            if subject in r.subjects
            for at, tokens in r.parts
            if at >= self.now - SPAN
        )

    def running(self, subject: str) -> int:
        return sum(subject in r.subjects and r.running for r in self.requests)

    def of_month(self, subject: str, month: int, *, running: bool = True) -> int:
        return self.before.get((subject, month), 0) + sum(
            r.tokens
            for r in self.requests
            if subject in r.subjects and r.month == month and (running or not r.running)
        )

    def refusing(self, subject: Subject, tokens: int, month: int) -> set[str]:
        """The limits that a new request does not fit."""
        name, limits = subject.id, subject.limits
        sums = {
            "requests_per_minute": self.sent(name) + 1,
            "tokens_per_minute": self.taken(name) + tokens,
            "concurrent": self.running(name) + 1,
            "tokens_per_month": self.of_month(name, month) + tokens,
        }
        return {
            limit
            for limit, value in sums.items()
            if (bound := getattr(limits, limit)) is not None and value > bound
        }

    def refuses_more(self, subject: Subject, more: int, month: int) -> bool:
        refusing = self.refusing(subject, more, month)
        return bool(refusing & {"tokens_per_minute", "tokens_per_month"})


NAMES = ("a", "b", "user")
OPTIONAL = st.none() | st.integers(1, 4)
LIMITS = st.builds(
    Limits,
    requests_per_minute=OPTIONAL,
    tokens_per_minute=st.none() | st.integers(1, 30),
    concurrent=OPTIONAL,
    tokens_per_month=st.none() | st.integers(1, 90),
)
ALL_LIMITS = st.fixed_dictionaries(dict.fromkeys(NAMES, LIMITS))
TOKENS = st.integers(0, 15)
MONTHS = [97, 100, 101, 105]
"""As many as are kept: what happens to more is another test's."""
assert len(MONTHS) == MOST_MONTHS

STEP = st.one_of(
    st.tuples(st.just("admit"), st.sampled_from([("a", "user"), ("b", "user"), ("a",)]), TOKENS),
    st.tuples(st.just("admit"), st.sampled_from([("a", "user"), ("b", "user"), ("a",)]), TOKENS),
    st.tuples(st.just("adjust"), st.integers(0, 9), st.integers(0, 20)),
    st.tuples(st.just("settle"), st.integers(0, 9), st.integers(0, 15)),
    st.tuples(st.just("wait"), STEPS, st.none()),
    st.tuples(st.just("back"), st.integers(1, 100_000), st.none()),
    st.tuples(st.just("month"), st.sampled_from(MONTHS), st.none()),
    st.tuples(st.just("limits"), st.sampled_from(NAMES), LIMITS),
    st.tuples(st.just("before"), st.sampled_from(NAMES), st.sampled_from(MONTHS)),
)


class Pair:
    """The limiter and its model, step by step."""

    def __init__(self, limits: dict[str, Limits]) -> None:
        self.real = Clocks()
        self.model = Model(now=self.real.ms)
        self.limits = dict(limits)

    def subject(self, name: str) -> Subject:
        return Subject(name, f"the subject {name}", self.limits[name])

    def step(self, what: str, first: object, second: object) -> None:
        getattr(self, what)(first, second)
        for name in NAMES:
            self.compare(name)

    def compare(self, name: str) -> None:
        """What may be asked of the limiter is what the model counts."""
        model, subject = self.model, self.subject(name)
        state = self.real.limiter.state([subject])
        for kind, used in (("requests", model.sent(name)), ("tokens", model.taken(name))):
            bound = getattr(subject.limits, f"{kind}_per_minute")
            remaining = None if bound is None else max(bound - used, 0)
            assert getattr(state, f"{kind}_remaining") == remaining
        month = model.month(self.real.month)
        used = model.of_month(name, month, running=False)
        assert self.real.limiter.used_this_month(name) == used

    def admit(self, names: tuple[str, ...], tokens: int) -> None:
        model, subjects = self.model, [self.subject(name) for name in names]
        month = model.month(self.real.month)
        model.months.add(month)
        refusing = {(one.id, limit) for one in subjects
                    for limit in model.refusing(one, tokens, month)}  # fmt: skip
        try:
            reservation = self.real.limiter.admit(subjects, tokens)
        except LimitHit as hit:
            told = (hit.subject, hit.limit)
            assert told in refusing
            return
        assert not refusing
        model.requests.append(Request(reservation, names, model.now, month, [(model.now, tokens)]))

    def adjust(self, number: int, tokens: int) -> None:
        request = self.one_of_the_running(number)
        if request is None:
            return
        more = tokens - request.tokens
        fits = more <= 0 or not any(
            self.model.refuses_more(self.subject(name), more, request.month)
            for name in request.subjects
        )
        try:
            request.real.adjust(tokens)
        except LimitHit:
            assert not fits
            return
        assert fits
        if more > 0:
            request.parts.append((self.model.now, more))
        else:
            request.shrink(-more)

    def settle(self, number: int, tokens: int) -> None:
        request = self.one_of_the_running(number)
        if request is None:
            return
        request.real.settle(tokens)
        request.real.settle(tokens + 1)  # does nothing
        request.running = False
        if tokens > request.tokens:
            request.parts.append((self.model.now, tokens - request.tokens))
        else:
            request.shrink(request.tokens - tokens)

    def one_of_the_running(self, number: int) -> Request | None:
        running = [request for request in self.model.requests if request.running]
        return running[number % len(running)] if running else None

    def wait(self, ms: int, _: object = None) -> None:
        self.real.ms += ms
        self.model.now = max(self.model.now, self.real.ms)

    def back(self, ms: int, _: object) -> None:
        """The monotonic clock goes back; time stands still until it has caught up."""
        self.real.ms -= ms

    def month(self, month: int, _: object) -> None:
        self.real.month = month

    def limits_(self, name: str, limits: Limits) -> None:
        """An operator sets other limits; those of a minute count from when they are set."""
        now, then = self.limits[name], limits
        for kind in ("requests_per_minute", "tokens_per_minute"):
            if (getattr(now, kind) is None) != (getattr(then, kind) is None):
                return  # that is another test's
        self.limits[name] = limits
        subject = self.subject(name)
        self.admit((name,), 10**9 if subject.limits.tokens_per_minute else 0)

    def before(self, name: str, month: int) -> None:
        self.real.limiter.used_before(name, month, 7)
        self.model.months.add(month)
        known = self.model.before
        known[name, month] = known.get((name, month), 0) + 7


@given(ALL_LIMITS, st.lists(STEP, max_size=60))
@example(
    dict.fromkeys(NAMES, Limits(tokens_per_minute=10)),
    [("admit", ("a", "user"), 10), ("wait", SPAN, None), ("adjust", 0, 4), ("wait", 1, None),
     ("admit", ("b", "user"), 10), ("settle", 0, 0), ("admit", ("b", "user"), 1)],
)  # fmt: skip
def test_it_decides_as_a_model_does_that_counts_everything_anew(
    limits: dict[str, Limits], steps: list[tuple[str, object, object]]
) -> None:
    pair = Pair(limits)
    for what, first, second in steps:
        pair.step("limits_" if what == "limits" else what, first, second)


@given(ALL_LIMITS, st.lists(STEP, max_size=40))
def test_nothing_is_left_of_what_has_ended(
    limits: dict[str, Limits], steps: list[tuple[str, object, object]]
) -> None:
    """When all are settled and a minute has passed everything is free, and nothing is kept."""
    pair = Pair(limits)
    for what, first, second in steps:
        pair.step("limits_" if what == "limits" else what, first, second)
    for request in pair.model.requests:
        if request.running:
            request.real.settle(0)
            request.running = False
            request.shrink(request.tokens)
    pair.real.ms = pair.model.now
    pair.wait(SPAN + 1)
    for name in NAMES:
        state = pair.real.limiter.state([pair.subject(name)])
        assert (state.requests_remaining, state.tokens_remaining) == (
            state.requests_limit, state.tokens_limit,
        )  # fmt: skip
        assert (state.requests_reset, state.tokens_reset) == (0, 0)
    pair.wait(3_600_000 + 2 * SPAN)  # now nobody is waited for either
    nobody = Subject("nobody", "nobody", Limits())
    for _ in range(3):
        pair.real.limiter.admit([nobody], 0).settle(0)
    assert len(pair.real.limiter) == 1
    month = pair.model.month(pair.real.month)
    for name in NAMES:
        bound = pair.limits[name].tokens_per_month
        free = 0 if bound is None else bound - pair.model.of_month(name, month)
        if free >= 0:  # else its month is used up, and more
            free = min(free, pair.limits[name].tokens_per_minute or free)
            pair.real.limiter.admit([pair.subject(name)], free).settle(0)


@given(
    st.integers(1, 5),
    st.integers(1, 40),
    st.lists(
        st.tuples(st.floats(0, 40, allow_nan=False), st.integers(0, 20), st.integers(0, 20)),
        max_size=60,
    ),
)
def test_no_window_of_sixty_seconds_has_more_than_the_limit(
    rpm: int, tpm: int, asks: list[tuple[float, int, int]]
) -> None:
    """By a clock that is finer than the limiter's, whichever window one looks at.

    And what is refused would not fit a window that is longer by what it rounds: a millisecond.
    """
    now = 1000.0
    limiter = Limiter(lambda: now, lambda: 1, lambda: 1.0)
    subject = Subject("k", "the key", Limits(requests_per_minute=rpm, tokens_per_minute=tpm))
    let_in: list[tuple[float, int]] = []

    def within(seconds: float) -> tuple[int, int]:
        inside = [used for at, used in let_in if at >= now - seconds]
        return len(inside), sum(inside)

    for pause, tokens, used in asks:
        now += pause
        try:
            limiter.admit([subject], tokens).settle(min(used, tokens))
        except LimitHit:
            requests, taken = within(60.001 + 1e-6)
            assert requests >= rpm or taken + tokens > tpm
            continue
        let_in.append((now, min(used, tokens)))
        requests, taken = within(60)
        assert requests <= rpm
        assert taken <= tpm


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 50), st.booleans()), max_size=60))
def test_a_wall_clock_that_jumps_about_takes_nobody_over_the_limit_of_a_month(
    asks: list[tuple[int, int, bool]],
) -> None:
    """It jumps to any month and comes back after each jump, as one does that is set right again."""
    world = Clocks()
    subject = Subject("k", "the key", Limits(tokens_per_month=100))
    used = 0
    world.limiter.admit([subject], 0).settle(0)
    for ahead, tokens, away in asks:
        world.month = 100 + (ahead if away else 0)
        reservation = None
        with contextlib.suppress(LimitHit):
            reservation = world.limiter.admit([subject], tokens)
        here = world.month == 100
        if here:
            assert (reservation is not None) == (used + tokens <= 100)
        if reservation is not None:
            world.month = 100
            reservation.settle(tokens)
            used += tokens if here else 0
        world.month = 100
        world.limiter.admit([subject], 0).settle(0)
        assert world.limiter.used_this_month("k") == used <= 100
