"""What requests come to, on every way to end; each token once, and limits told the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiplat.accounts.meter import Lease
from aiplat.accounts.metered import INTERRUPTED
from aiplat.control.accounts import LimitsWish
from aiplat.domain.accounts import MAX_LIMIT
from aiplat.domain.answers import Failed, Finished
from aiplat.domain.errors import QuotaExceeded, RateLimited
from aiplat.domain.usage import Timings, Usage
from tests.support.dialogue import MANIFEST
from tests.unit.accounts.helpers import Clock, Home, Progress, fails, finishes, refused, says

COLUMNS = "prompt, cached, completion, outcome"


def events(home: Home) -> list[tuple[Any, ...]]:
    return home.rows(f"SELECT {COLUMNS} FROM events ORDER BY id")


def month(home: Home) -> int:
    """Tokens of this month that the limits know of the owner's."""
    return home.accounts._house.used_this_month(home.directory.owner.subject.id)


def left(home: Home) -> int:
    """Tokens of this minute that the owner may still take."""
    remaining = home.accounts.admission.state("")
    assert remaining is not None
    assert remaining.tokens_remaining is not None
    return remaining.tokens_remaining


async def limited(home: Home, **limits: int) -> None:
    """Give the owner limits."""
    await home.ask("users.limits", LimitsWish(name="operator", **limits))


def fails_after(lease: Lease, tokens: int) -> None:
    says(lease, tokens)
    fails(lease, tokens)


# -- each way to end -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "counted"),
    [
        (lambda lease: finishes(lease, 5, cached=4), (12, 4, 5, "stop")),
        (lambda lease: finishes(lease, 50, reason="length"), (12, 0, 50, "length")),
        (lambda lease: finishes(lease, 0, cached=99, reason="stop"), (12, 12, 0, "stop")),
        (lambda lease: finishes(lease, 3, reason="cancelled"), (12, 0, 3, "cancelled")),
        (lambda lease: finishes(lease, 0, reason="cancelled"), (12, 0, 0, "cancelled")),
        (lambda lease: fails_after(lease, 4), (12, 0, 4, "processor_lost")),
        (lambda lease: fails_after(lease, 0), (0, 0, 0, "processor_lost")),
        (lambda lease: fails(lease, code="no_processor"), (0, 0, 0, "no_processor")),
        (lambda lease: lease.end(Finished("cancelled", Usage(0, 0)), "", "cancelled", Timings()),
         (0, 0, 0, "cancelled")),
    ],
    ids=[
        "finished", "length", "empty answer", "cancelled after a token", "cancelled before",
        "failed after a token", "failed before", "failed while it waited",
        "cancelled while it waited",
    ],
)  # fmt: skip
async def test_what_counts(tmp_path: Path, end: Any, counted: tuple[Any, ...]) -> None:
    home = Home(tmp_path)
    async with home.running():
        await limited(home, tokens_per_minute=1000)
        lease = home.admit(answer=50)
        assert left(home) == 1000 - 60
        end(lease)
        assert left(home) == 1000 - counted[0] - counted[2], "what was not used is free again"
        assert month(home) == counted[0] + counted[2]
        lease.end(Finished("stop", Usage(9, 9)), "tiny", "stop", Timings())
        lease.give_back()
        assert lease.ended
        await home.written()
        assert events(home) == [counted]
        assert home.rows("SELECT * FROM running") == []
        assert home.accounts.meter.live() == []


async def test_one_that_was_given_back_never_was(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        await limited(home, tokens_per_minute=1000, concurrent=1)
        home.admit().give_back()
        lease = home.admit()
        assert left(home) == 1000 - 60
        lease.give_back()
        await home.written()
        assert left(home) == 1000
        assert (events(home), month(home), home.rows("SELECT * FROM running")) == ([], 0, [])


async def test_an_event_says_all_of_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        made = await home.key(models=("tiny",))
        lease = home.admit(made.key, request="req-a")
        home.clock.passes(7)
        says(lease, 3, exact=False)
        end = Finished("tool_calls", Usage(12, 3, 5, exact=False))
        lease.end(end, "tiny", "tool_calls", Timings(1.25, 20.5, 300.125))
        await home.written()
    [row] = home.rows("SELECT * FROM events")
    at = round((home.clock.at - 7) * 1000)
    assert row[1:] == (
        at, "req-a", home.directory.owner.id, made.id, "tiny", MANIFEST.numerics,
        "12D3KooWProcessor", 12, 5, 3, 0, 1.25, 20.5, 300.125, "tool_calls",
    )  # fmt: skip
    assert home.count("aiplat_accounts_events_total", outcome="tool_calls") == 1


async def test_what_a_processor_tells_is_written_as_far_as_it_can_be(tmp_path: Path) -> None:
    """Its numbers are its own: one may claim what no column holds, and must not stop the count."""
    home = Home(tmp_path)
    async with home.running():
        lease = home.admit()
        lease.progress = Progress(1, "tiny", None, "p")
        says(lease, 1, prompt=2**64)
        end = Finished("stop", Usage(2**64, 2**70, 2**66, exact=False))
        lease.end(end, "tiny", "stop", Timings())
        await home.written()
        assert events(home) == [(MAX_LIMIT, MAX_LIMIT, MAX_LIMIT, "stop")]
        negative = home.admit()
        says(negative, 1)
        negative.end(Finished("stop", Usage(-5, -5, -5)), "tiny", "stop", Timings())
        await home.written()
        assert events(home)[1:] == [(0, 0, 0, "stop")]


@pytest.mark.parametrize(
    ("by_asker", "began", "prompt"), [(True, True, 12), (False, True, 0), (True, False, 0)]
)
async def test_a_prompt_that_was_begun_counts_where_its_asker_ended_it(
    tmp_path: Path, by_asker: bool, began: bool, prompt: int
) -> None:
    home = Home(tmp_path)
    async with home.running():
        await limited(home, tokens_per_minute=1000)
        lease = home.admit(prompt=10, answer=50)
        if began:
            says(lease, 0)
        end = Failed("deadline_exceeded", "late", usage=Usage(12, 0) if began else None)
        lease.end(end, "tiny", "deadline_exceeded", Timings(), by_asker=by_asker)
        assert (left(home), month(home)) == (1000 - prompt, prompt)
        await home.written()
        assert events(home) == [(prompt, 0, 0, "deadline_exceeded")]


# -- while it runs ---------------------------------------------------------------------------------


async def test_a_row_is_renewed_while_it_grows_and_only_then(tmp_path: Path) -> None:
    home = Home(tmp_path)
    columns = "request, model, manifest, processor, prompt, completion, exact"
    async with home.running():
        lease = home.admit(request="req-a")
        await home.written()
        assert home.rows(f"SELECT {columns} FROM running") == [("req-a", "", "", "", 0, 0, 1)]
        assert home.accounts.meter.take() is None, "nothing changed"
        progress = says(lease, 0)
        assert home.accounts.meter.take() is None, "a prompt alone is of no use to anybody yet"
        progress.tokens = 2
        await home.written()
        told = ("req-a", "tiny", MANIFEST.numerics, "12D3KooWProcessor", 12, 2, 1)
        assert home.rows(f"SELECT {columns} FROM running") == [told]
        progress.tokens = 9
        batch = home.accounts.meter.take()
        assert batch is not None
        assert [row.completion for row in batch.running.values()] == [9]
        assert home.accounts.meter.take() is None


async def test_a_death_in_the_middle_loses_what_was_not_flushed_and_no_more(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        growing, waiting = home.admit(request="req-a"), home.admit(request="req-b")
        finishes(home.admit(request="req-c"), 8)
        progress = says(growing, 6)
        await home.written()
        progress.tokens = 7  # and then it dies, before this is written
        assert not waiting.ended
        home.rows("SELECT 1")
    # (The end of `running` flushed once more: undo that, as the death would have.)
    home.does("UPDATE running SET completion = 6 WHERE request = 'req-a'")
    home.opened()
    assert home.rows(f"SELECT request, {COLUMNS} FROM events ORDER BY request") == [
        ("req-a", 12, 0, 6, INTERRUPTED), ("req-b", 0, 0, 0, INTERRUPTED),
        ("req-c", 12, 0, 8, "stop"),
    ]  # fmt: skip
    assert home.rows("SELECT * FROM running") == []
    assert month(home) == 12 + 6 + 12 + 8, "and it counts for the month"
    home.opened()
    assert len(events(home)) == 3, "a second start counts nothing again"
    async with home.running():
        finishes(home.admit(), 1)
        await home.written()
    assert len(events(home)) == 4, "numbers begin anew, and hit no row of before"


# -- the limits follow -----------------------------------------------------------------------------


async def test_a_prompt_is_held_back_as_long_as_it_is(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        await limited(home, tokens_per_minute=1000)
        lease = home.admit(prompt=10, answer=50)
        lease.started(300)
        assert left(home) == 1000 - 350, "longer than was guessed"
        lease.started(4)
        assert left(home) == 1000 - 54, "shorter"
        hits = "aiplat_ratelimit_rejections_total"
        assert home.count(hits, limit="tokens_per_minute") == 0
        with refused(RateLimited, "may take 1000 tokens a minute"):
            lease.started(951)
        assert home.count(hits, limit="tokens_per_minute") == 1
        assert left(home) == 1000 - 54, "what does not fit changes nothing"
        finishes(lease, 50, prompt=4)
        lease.started(900)
        assert left(home) == 1000 - 54


async def test_an_answer_without_a_bound_grows_by_pieces(tmp_path: Path) -> None:
    home = Home(tmp_path, reserved_tokens=100)
    async with home.running():
        await limited(home, tokens_per_minute=400, tokens_per_month=10_000)
        lease = home.admit(prompt=10, answer=None)
        assert lease.room == 100
        lease.started(10)
        lease.grow(10, 101)
        assert (lease.room, left(home)) == (201, 400 - 211)
        lease.grow(10, 202)
        assert (lease.room, left(home)) == (302, 400 - 312)
        with refused(RateLimited, "may take 400 tokens a minute"):
            lease.grow(10, 303)
        assert home.count("aiplat_ratelimit_rejections_total", limit="tokens_per_minute") == 1
        assert (lease.room, left(home)) == (302, 400 - 312)
        says(lease, 302, prompt=10)
        fails(lease, 302, prompt=10, code="rate_limit_exceeded")
        lease.grow(10, 9999)
        assert left(home) == 400 - 312
        assert month(home) == 312


async def test_the_month_that_turns_counts_where_it_began(tmp_path: Path) -> None:
    home = Home(tmp_path, Clock(1_796_083_190))  # 2026-11-30, 23:59:50 UTC
    async with home.running():
        await limited(home, tokens_per_month=100)
        lease = home.admit(prompt=10, answer=80)
        with refused(QuotaExceeded, "may take 100 tokens a month"):
            home.admit(prompt=10, answer=1)
        home.clock.passes(20)
        later = home.admit(prompt=10, answer=90)  # the new month is free
        finishes(lease, 80, prompt=10)
        assert month(home) == 0
        finishes(later, 1, prompt=10)
        assert month(home) == 11
        await home.written()
    home.opened()
    assert month(home) == 11, "and the store says the same"
    home.clock.at -= 3600
    assert month(home) == 90, "also of the month before, for a clock that is set back"


# -- choices of one request ------------------------------------------------------------------------


async def choices(home: Home, count: int = 3) -> list[Any]:
    await limited(home, tokens_per_minute=1000)
    first = home.admit(request="req-0", prompt=100, answer=10)
    return [first] + [
        home.admit(request=f"req-{n}", prompt=100, answer=10, beside=first) for n in range(1, count)
    ]


async def test_choices_of_one_request_have_one_prompt(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        leases = await choices(home)
        assert left(home) == 1000 - 130
        for lease in leases:
            says(lease, 10, prompt=120)
        assert left(home) == 1000 - 150, "it was longer than guessed, once"
        for lease in reversed(leases):
            finishes(lease, 10, prompt=120, cached=7)
        assert left(home) == 1000 - 150
        await home.written()
        assert sorted(events(home)) == [
            (0, 0, 10, "stop"), (0, 0, 10, "stop"), (120, 7, 10, "stop"),
        ]  # fmt: skip


@pytest.mark.parametrize("first", ["waits", "began", "went wrong"])
async def test_the_first_one_may_go_and_the_prompt_is_counted_still(
    tmp_path: Path, first: str
) -> None:
    """Else a request beside one that is cancelled at once would get its prompt for nothing."""
    home = Home(tmp_path)
    async with home.running():
        one, two, three = await choices(home)
        if first == "began":
            says(one, 0, prompt=120)
        if first == "went wrong":
            says(one, 0, prompt=120)
            fails(one, 0)
        else:
            fails(one, code="user_gone")
        assert left(home) == 1000 - 120, "the next one holds it, though its length is a guess now"
        says(two, 3, prompt=120)
        assert left(home) == 1000 - 140
        finishes(two, 3, prompt=120)
        finishes(three, 4, prompt=120)
        assert left(home) == 1000 - 127
        await home.written()
        assert [row[:3] for row in events(home)] == [(0, 0, 0), (120, 0, 3), (0, 0, 4)]


async def test_one_that_only_waits_pays_for_those_that_made_use_of_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        one, two, three = await choices(home)
        finishes(two, 3, prompt=120)
        await home.written()
        assert home.rows("SELECT prompt FROM running WHERE request = 'req-0'") == [(120,)], (
            "it stands there, whenever the gateway dies"
        )
        fails(three, code="overloaded")
        one.end(Finished("cancelled", Usage(0, 0)), "", "cancelled", Timings())
        await home.written()
        assert [row[:3] for row in events(home)] == [(0, 0, 3), (0, 0, 0), (120, 0, 0)]
        assert left(home) == 1000 - 123


async def test_where_nobody_made_use_of_it_nobody_pays(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        for lease in await choices(home):
            fails(lease, code="no_processor")
        await home.written()
        assert [row[:3] for row in events(home)] == [(0, 0, 0)] * 3
        assert left(home) == 1000


async def test_one_that_was_given_back_holds_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        one, two, three = await choices(home)
        one.give_back()
        three.give_back()
        assert left(home) == 1000 - 110
        finishes(two, 10, prompt=100)
        await home.written()
        assert events(home) == [(100, 0, 10, "stop")]


async def test_a_death_counts_it_once_too(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        _, two, _ = await choices(home)
        says(two, 3, prompt=120)
        await home.written()
        await home.written()
    home.opened()
    assert home.rows("SELECT sum(prompt), sum(completion) FROM events") == [(120, 3)]


async def test_beside_a_foreign_one_gains_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        session = await home.register("ann")
        hers = await home.key(credential=session.token)
        first = home.admit(hers.key, prompt=100, answer=10)
        other = home.admit(prompt=100, answer=10, beside=first)
        finishes(first, 1, prompt=100)
        finishes(other, 1, prompt=100)
        ended = home.admit(prompt=100, answer=10, beside=other)
        finishes(ended, 1, prompt=100)
        one, two = await home.key("one"), await home.key("two")
        mine = home.admit(one.key, prompt=100, answer=10)
        same = home.admit(two.key, prompt=100, answer=10, beside=mine)
        assert (mine.sharing, same.sharing) == (1, 1), "each key has limits of its own"
        finishes(same, 1, prompt=100)
        beside = home.admit(one.key, prompt=100, answer=10, beside=mine)
        assert (mine.sharing, beside.sharing) == (2, 2)
        finishes(beside, 1, prompt=100)
        assert mine.sharing == 2, "also those that ended count"
        finishes(mine, 1, prompt=100)
        await home.written()
        assert [row[0] for row in events(home)] == [100, 100, 100, 100, 0, 100]


async def test_the_heir_may_have_no_room_and_is_let_go_on(tmp_path: Path) -> None:
    """When the month turned between the two: it was let in rightly, with less."""
    home = Home(tmp_path, Clock(1_796_083_190))
    async with home.running():
        await limited(home, tokens_per_month=200)
        one = home.admit(prompt=100, answer=10)
        home.clock.passes(20)
        two = home.admit(prompt=100, answer=10, beside=one)
        says(two, 3, prompt=100)
        filler = home.admit(prompt=0, answer=180)
        fails(one, code="user_gone")
        finishes(two, 10, prompt=100)
        finishes(filler, 180, prompt=0)
        assert month(home) == 290, "what is used counts, also beyond"
        with refused(QuotaExceeded, "290 are used"):
            home.admit(prompt=1, answer=1)
