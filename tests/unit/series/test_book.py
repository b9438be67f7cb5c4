"""The newest minutes in memory: what is added, what gives way, what is put back."""

from __future__ import annotations

import pytest

from aiplat.series.book import Book, Page
from aiplat.series.figures import FIRST, TOTAL
from aiplat.series.seen import Reading
from tests.unit.series.helpers import NOON, OWN, key, seen


class Kept(Book):
    """A book whose hits of bounds a test can see."""

    def __init__(self, rows: int = 10, minutes: int = 10) -> None:
        self.hits: list[str] = []
        super().__init__(rows, minutes, OWN, self.hits.append)


def by_minute(pages: list[Page]) -> dict[int, float]:
    return {p.at: sum(row[0] for row in p.rows.values()) for p in pages}


def test_a_request_is_added_to_its_minute_and_row() -> None:
    book = Kept()
    book.saw(seen(), NOON + 1)
    book.saw(seen(failed=True, first_seconds=None, total_seconds=3.0), NOON + 59.9)
    book.saw(seen(key="k2"), NOON + 60)
    first, second = book.pages()
    assert (first.at, second.at) == (NOON, NOON + 60)
    row = first.rows[key()]
    assert row[:7] == [2, 1, 20, 4, 10, 0.1, 4.0]
    assert sum(row[FIRST:TOTAL]) == 1, "one without a first token has no time to it"
    assert sum(row[TOTAL:]) == 2
    assert list(second.rows) == [key(key="k2")]


def test_what_is_taken_is_held_no_more_and_may_come_back() -> None:
    book = Kept()
    book.saw(seen(), NOON)
    taken = book.take()
    assert book.take() == [] and book.pages() == []
    book.saw(seen(), NOON + 1)
    book.saw(seen(), NOON + 60)
    assert by_minute(taken) == {NOON: 1}, "what is being written does not change any more"
    book.put_back(taken)
    assert by_minute(book.pages()) == {NOON: 2, NOON + 60: 1}
    book.saw(seen(), NOON + 61)
    assert by_minute(book.take()) == {NOON: 2, NOON + 60: 2}


def test_a_clock_that_is_set_back_adds_to_the_older_minute() -> None:
    book = Kept()
    for when in (NOON, NOON - 7200, NOON - 7200, NOON):
        book.saw(seen(), when)
    assert by_minute(book.pages()) == {NOON: 2, NOON - 7200: 2}


def test_rows_beyond_the_bound_are_summed_and_counted() -> None:
    book = Kept(rows=2)
    for peer in ("a", "b", "c", "d", "a"):
        book.saw(seen(peer=peer), NOON)
    [page] = book.pages()
    other = key(model="other", key="other", peer="other")
    assert {k: row[0] for k, row in page.rows.items()} == {
        key(peer="a"): 2, key(peer="b"): 1, other: 2,
    }  # fmt: skip
    assert book.hits == ["series_rows"] * 2
    book.take()
    book.saw(seen(peer="c"), NOON + 1)
    assert list(book.pages()[0].rows) == [other], "a minute has its bound once, not for each write"
    book.saw(seen(peer="c"), NOON + 60)
    assert key(peer="c") in book.pages()[1].rows, "the next minute has its own"


def test_what_is_summed_still_says_whether_it_was_this_node() -> None:
    book = Kept(rows=1)
    for peer in ("a", "b", OWN):
        book.saw(seen(peer=peer), NOON)
    [page] = book.pages()
    assert key(model="other", key="other", peer=OWN) in page.rows


def test_minutes_beyond_the_bound_give_way_the_oldest_first() -> None:
    book = Kept(minutes=3)
    for minute in range(5):
        book.saw(seen(), NOON + 60 * minute)
    assert list(by_minute(book.pages())) == [NOON + 120, NOON + 180, NOON + 240]
    assert book.hits == ["series_minutes"] * 2
    taken = book.take()
    for minute in range(5, 7):
        book.saw(seen(), NOON + 60 * minute)
    book.put_back(taken)
    assert list(by_minute(book.pages())) == [NOON + 240, NOON + 300, NOON + 360]
    book.saw(seen(), NOON - 7200)
    assert NOON - 7200 in by_minute(book.pages()), "the newest is what came last, not the latest"


def test_with_room_for_one_minute_the_present_one_stays() -> None:
    book = Kept(minutes=1)
    book.saw(seen(), NOON)
    taken = book.take()
    book.saw(seen(), NOON + 60)
    book.put_back(taken)
    assert by_minute(book.pages()) == {NOON + 60: 1}
    book.saw(seen(), NOON + 61)
    assert by_minute(book.take()) == {NOON + 60: 2}


def test_looks_at_the_machine_are_joined() -> None:
    book = Kept(rows=1)
    for busy, memory in ((None, 100), (2.0, 300), (1.0, 200)):
        reading = Reading(part="engine", name="m", busy=busy, memory_bytes=memory)
        book.machine(reading, NOON)
    book.machine(Reading(part="gpu", name="0", memory_bytes=1), NOON)
    [page] = book.pages()
    assert page.machine == {("engine", "m"): [2, 3.0, 3, 600, 2.0, 300, 0]}
    assert book.hits == ["series_rows"]
    taken = book.take()
    book.machine(Reading(part="engine", name="m", busy=4.0, memory_bytes=50), NOON)
    book.put_back(taken)
    [page] = book.pages()
    assert page.machine == {("engine", "m"): [3, 7.0, 4, 650, 4.0, 300, 0]}


@pytest.mark.parametrize("when", [0.0, 59.999, -1.0])
def test_any_time_of_day_is_a_minute(when: float) -> None:
    book = Kept()
    book.saw(seen(), when)
    assert book.pages()[0].at == int(when // 60) * 60
