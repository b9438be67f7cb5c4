"""Whatever comes and in whatever order: nothing is lost, nothing said twice, all end once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import Delta, Failed, Finished, Queued
from aiplat.domain.errors import ContextLengthExceeded, Overloaded
from tests.support.counting import END, World

PROMPT = st.builds(
    lambda family, common, rest, number: [
        *range(family, family + common), *range(number, number + rest),
    ],
    st.sampled_from([0, 500]), st.integers(0, 100), st.integers(1, 100),
    st.integers(1000, 1003),
)  # fmt: skip
"""Two families that begin alike, and go on in one of a few ways."""

REQUEST = st.fixed_dictionaries(
    {
        "prompt": PROMPT,
        "tag": st.sampled_from(["", "a", "b"]),
        "limit": st.integers(1, 20),
        "ends_at": st.integers(0, 25),
        "credit": st.sampled_from([0, 8, 100, 1 << 20]),
        "seconds": st.sampled_from([0.05, 1.0, 5.0, 1e6]),
    }
)
EVENT = st.one_of(
    REQUEST,
    st.tuples(
        st.sampled_from(["cancel", "cancel in a step", "credit", "fault"]), st.integers(1, 8)
    ),
    st.just("turn"),
)


@given(
    st.lists(EVENT, max_size=40),
    st.fixed_dictionaries(
        {
            "slots": st.integers(1, 4),
            "capacity": st.integers(250, 1000),
            "prefix_places": st.integers(0, 3),
            "shared": st.booleans(),
        }
    ),
)
def test_all_end_once_and_nothing_is_lost(events: list[object], options: dict[str, int]) -> None:
    """And each place holds what was read there, of nobody else, within the capacity (`World`)."""
    world = World(**options)  # type: ignore[arg-type]  # a bool is what it wants, too
    cancelled: set[int] = set()
    for event in events:
        if isinstance(event, dict):
            world.add(**event)
        elif isinstance(event, tuple):
            what, number = event
            if number not in world.said:
                continue
            if what == "credit":
                world.scheduler.grant(number, 24)
            elif what == "fault":
                world.turn(fault=number)
            else:
                cancelled.add(number)
                before = len(world.ids(number))
                if what == "cancel":
                    world.scheduler.cancel(number)
                    world.turn()
                else:
                    world.turn(cancel=number)
                assert world.ended(number)  # at the end of the step, in every state
                if what == "cancel":
                    assert len(world.ids(number)) == before  # no token once it was asked for
        else:
            world.turn()
    for number in world.said:
        world.scheduler.grant(number, 1 << 20)
    asked = list(world.said)
    world.finish()
    for tag in ("", "a", "b"):  # order is kept within a tag
        of_tag = [number for number in world.started if world.rows[number].tag == tag]
        assert of_tag == sorted(of_tag)
    for number in asked:
        end, ids = world.end(number), world.ids(number)
        assert [token for token in ids if token != END] == list(range(len(ids) - (END in ids)))
        assert end.usage is not None
        assert end.usage.completion_tokens == len(ids)
        if isinstance(end, Finished) and end.reason == "cancelled":
            assert number in cancelled


def test_first_come_first_served_within_a_tag() -> None:
    world = World(slots=2, capacity=100)
    numbers = [world.add(10, 40) for _ in range(5)]
    world.finish()
    assert world.started[:5] == numbers


def test_who_asks_for_much_does_not_hold_back_who_asks_for_little() -> None:
    world = World(slots=2)
    many = [world.add(20, 20, tag="many") for _ in range(20)]
    world.turn()
    few = [world.add(20, 20, tag="few") for _ in range(2)]
    while not all(world.ended(number) for number in few):
        world.turn()
    assert sum(world.ended(number) for number in many) <= 5
    world.finish()


@given(st.integers(1, 4), st.lists(st.integers(5, 60), min_size=2, max_size=2))
def test_tags_that_always_ask_get_alike(slots: int, lengths: list[int]) -> None:
    """Within the bound of the paper: by twice what runs at once at most."""
    world = World(slots=slots, max_waiting=1000)
    tags = {"a": lengths[0], "b": lengths[1]}
    for tag, length in tags.items():
        for number in range(40):
            world.add([1000 * number + at for at in range(length)], 10, tag=tag)
    for _ in range(40):
        world.turn()
    had = dict.fromkeys(tags, 0.0)
    for step in world.steps:
        for piece in step.pieces:
            had[piece.row.tag] += 2.0 if len(piece.ids) == 1 else len(piece.ids)
    assert abs(had["a"] - had["b"]) <= 2 * slots * (max(lengths) + 2 * 10)


def test_nobody_is_overtaken_for_ever_by_newcomers() -> None:
    """Each newcomer of a tag of its own has had nothing; the first tag has had much."""
    world = World(slots=2, max_waiting=1000)
    world.add(200, 40, tag="much")
    second = world.add(200, 40, tag="much")
    last = world.add(5, 1, tag="much")
    for newcomer in range(60):
        for which in range(3):
            world.add([7 + newcomer], 3, tag=f"{newcomer}-{which}")
        world.turn()
        world.turn()
        if world.ended(second) and world.ended(last):
            break
    assert world.ended(last)


def test_a_big_request_that_waits_for_memory_is_not_overtaken_for_ever() -> None:
    world = World(slots=4, capacity=100)
    for _ in range(3):
        world.add(10, 20)
    world.turn()
    big = world.add(50, 45, tag="big")
    small = [world.add(10, 20, tag=f"{tag}") for tag in range(40)]
    while not world.ended(big):
        world.turn()
    before = sum(world.started.index(number) < world.started.index(big) for number in small
                 if number in world.started)  # fmt: skip
    assert 1 <= before <= 4 * 4  # some used the memory meanwhile, but not all
    world.finish()


def test_the_next_turn_of_a_conversation_reads_what_is_new() -> None:
    world = World(slots=2)
    first = world.add(200, 20)
    world.finish()
    asked = [*range(200), *world.ids(first), *range(5000, 5010)]
    start = len(world.steps)
    second = world.add(asked, 5)
    while not world.ended(second):
        world.turn()
    end = world.end(second)
    assert end.usage is not None
    assert end.usage.cached_tokens == 219  # all but the last that was drawn, which nobody read
    read = sum(len(p.ids) for step in world.steps[start:] for p in step.pieces if not p.draws)
    assert read <= 11
    (opening,) = (one for step in world.steps[start:] for one in step.opened)
    assert opening.source == opening.place  # where it was: nothing was copied


def test_another_tag_reads_it_anew_unless_prefixes_are_shared() -> None:
    for shared, cached in ((False, 0), (True, 199)):
        world = World(shared=shared)
        world.add(200, 2, tag="a")
        world.finish()
        other = world.add(200, 2, tag="b")
        while not world.ended(other):
            world.turn()
        usage = world.end(other).usage
        assert usage is not None
        assert usage.cached_tokens == cached


def test_what_begins_alike_at_the_same_moment_is_read_once() -> None:
    world = World(slots=4)
    numbers = [world.add([*range(500), 600 + which], 8) for which in range(4)]
    while not all(world.ended(number) for number in numbers):
        world.turn()
    assert world.read("") <= 501 + 4 * 10
    assert [world.ids(number) for number in numbers] == [list(range(8))] * 4
    world.finish()


def test_what_is_too_much_to_have_twice_stays_where_it_is() -> None:
    world = World(slots=2, prefix_places=1, capacity=400)
    world.add([*range(200)], 2)
    while world.scheduler.held:
        world.turn()
    world.add([*range(100), 7000], 8)
    big = world.add([8000, *range(100)], 49)
    opened = world.turn().opened
    assert (opened[0].kept, opened[0].source) == (100, opened[0].place)
    world.finish()
    assert isinstance(world.end(big), Finished)


def test_who_had_much_is_held_back_by_no_long_prompt() -> None:
    world = World(slots=4)
    world.add([1], 5, tag="little", credit=0)  # it says nothing, but it is there
    world.add([2], 200, tag="much")
    for _ in range(150):
        world.turn()
    long = world.add(3000, 1, tag="little")
    world.turn()
    short = world.add([4, *range(40)], 1, tag="much")
    for _ in range(5):
        world.turn()
    assert world.ended(short)
    assert not world.ended(long)


def test_the_latest_prefixes_stay() -> None:
    world = World(slots=1, prefix_places=2)
    prompts = [[family, *range(100)] for family in (1000, 2000, 3000, 4000)]
    for prompt in prompts:
        world.add(prompt, 1)
        world.finish()
    assert world.cache.keys() <= {0, 1, 2}
    hits = world.scheduler.prefixes.hits
    kept = [world.scheduler.prefixes.match([*prompt, 1], "")[1] for prompt in prompts]
    assert kept[0] == 0
    assert kept[3] == 101
    assert hits == 0


def test_prefixes_give_way_to_requests() -> None:
    world = World(slots=2, prefix_places=4, capacity=300)
    for family in (1000, 2000):
        world.add([family, *range(100)], 2)
        world.finish()
    big = world.add([3000, *range(180)], 100)
    while not world.ended(big):
        world.turn()
    assert isinstance(world.end(big), Finished)
    world.finish()


def test_what_can_never_fit_is_refused_with_the_numbers() -> None:
    world = World(capacity=100)
    with pytest.raises(ContextLengthExceeded, match=r"80 tokens.*30.*110.*100.*at most 20"):
        world.add(80, 30)


def test_a_full_queue_makes_room_for_who_has_less_in_it() -> None:
    world = World(slots=1, max_waiting=3)
    world.add(5, 5, tag="a")
    world.turn()
    waiting = [world.add(5, 5, tag="a") for _ in range(3)]
    with pytest.raises(Overloaded):
        world.add(5, 5, tag="a")
    first = world.add(5, 5, tag="b")
    world.hear()
    put_out = world.end(waiting[-1])  # its latest
    assert isinstance(put_out, Failed)
    assert (put_out.code, put_out.recoverable) == ("overloaded", True)
    with pytest.raises(Overloaded):
        world.add(5, 5, tag="b")  # that would only be the same the other way round
    world.finish()
    assert isinstance(world.end(first), Finished)


def test_who_waits_hears_again_when_it_has_come_much_nearer() -> None:
    world = World(slots=1)
    numbers = [world.add(5, 3) for _ in range(33)]
    world.finish()
    places = [event.place for event in world.said[numbers[-1]] if isinstance(event, Queued)]
    assert places == [31, 15, 7, 3, 1, 0]


def test_a_long_prompt_holds_back_no_short_one() -> None:
    world = World(slots=4)
    long = world.add(4000, 1)
    world.turn()
    short = world.add(20, 3)
    turns = 0
    while not world.ended(short):
        world.turn()
        turns += 1
    assert turns <= 5
    assert not world.ended(long)
    world.finish()


def test_a_step_reads_no_more_than_its_budget() -> None:
    world = World(slots=8)
    for _ in range(6):
        world.add(1000, 5)
    world.finish()
    assert max(sum(len(p.ids) for p in step.pieces) for step in world.steps) <= 64 + 8


def test_prompts_are_read_in_turn() -> None:
    world = World(slots=6)
    numbers = [world.add([n * 1000 + at for at in range(300)], 1) for n in range(6)]
    for _ in range(6):
        world.turn()
    read = dict.fromkeys(numbers, 0)
    for step in world.steps:
        for piece in step.pieces:
            read[piece.row.number] += len(piece.ids)
    assert min(read.values()) > 0
    assert max(read.values()) - min(read.values()) <= 64
    world.finish()


def test_a_reader_without_credit_holds_back_no_other() -> None:
    world = World(slots=2)
    stalled = world.add(5, 10, credit=12)
    other = world.add(5, 10)
    for _ in range(15):
        world.turn()
    assert world.ended(other)
    assert sum(e.cost for e in world.said[stalled] if isinstance(e, Delta)) <= 12
    world.scheduler.grant(stalled, 1000)
    world.finish()
    assert world.ids(stalled) == list(range(10))


def test_deadline_names_the_stage() -> None:
    world = World(slots=1)
    world.add(5, 1000, seconds=1e6)
    late = world.add(5, 5, seconds=0.35)
    for _ in range(6):
        world.turn()
    end = world.end(late)
    assert isinstance(end, Failed)
    assert end.code == "deadline_exceeded"
    assert "slot" in end.message


def test_a_full_queue_refuses_with_a_time() -> None:
    world = World(slots=1, max_waiting=1)
    world.add(5, 5)
    world.turn()
    world.add(5, 5)
    with pytest.raises(Overloaded) as refused:
        world.add(5, 5)
    assert refused.value.retry_after is not None
    world.turn()
    assert isinstance(world.said[2][0], Queued)
    world.finish()


def test_a_fault_fails_one_alone() -> None:
    world = World(slots=3)
    first, second = world.add(5, 5), world.add(5, 5)
    world.turn(fault=first)
    world.finish()
    end = world.end(first)
    assert isinstance(end, Failed)
    assert end.code == "engine_failed"
    usage = world.end(second).usage
    assert isinstance(world.end(second), Finished)
    assert usage is not None
    assert usage.cached_tokens == 0  # what the first has read may be as broken


def test_what_a_cancelled_request_broke_is_nobody_s_prefix() -> None:
    world = World(slots=2)
    first = world.add(40, 5)
    world.turn(fault=first, cancel=first)
    assert isinstance(world.end(first), Finished)
    second = world.add(40, 5)
    world.finish()
    usage = world.end(second).usage
    assert usage is not None
    assert usage.cached_tokens == 0
