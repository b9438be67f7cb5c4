"""Every token is counted once: what clients, the gateway's accounts and processors say of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from aiplat.control.accounts import Nothing, StoreCheck, UsageAsk, UsageReply
from aiplat.domain.answers import DEFAULT_CREDIT, Failed, Finished
from tests.support.accounts_home import Row, control
from tests.support.accounts_load import Crowd, Plan, Told, plans
from tests.support.accounts_reader import Reader, reaching
from tests.support.accounts_world import GATEWAY, Death, World
from tests.support.waiting import eventually
from tests.unit.node.nodes import until

RATE = 40.0
TOKEN_COST = 20
"""`Delta.cost` of a token of echo at most: an id and four characters, four each."""
FLUSH_SECONDS = 0.2
SLACK_SECONDS = 0.6
"""A token's way through the gateway to the disk, and to a client's clock, on a busy machine."""
WRITTEN_SECONDS = FLUSH_SECONDS + SLACK_SECONDS
SMALL = 400
"""A small window, of 20 to 25 tokens."""
LEAST_COST = 16
"""Of a token of what is asked over a channel here, on the average."""
BURST = 8
"""Tokens that echo says at once when it is late (`engine.echo_burst`)."""
LOG_SECONDS = 2.0
"""A processor's log is written by a thread: a killed one may not have written its last lines."""


@dataclass
class Judge:
    """Compares what was told of each request; fails at the first that does not hold.

    Arguments:
        events: the gateway's, by request.
        processed: the processors' own counts, by request and processor.
        deaths: who was killed, and when.
    """

    events: dict[str, Row]
    processed: dict[tuple[str, str], int]
    deaths: list[Death]
    equal: int = 0
    most_apart: dict[str, int] = field(default_factory=dict)

    def see(self, told: Told) -> None:
        """Compare one request."""
        event = self.events.get(told.request)
        death = self._death_of(GATEWAY, told)
        if death is not None:
            self._with_a_dead_gateway(told, event, death)
        elif told.end == "done":
            assert event is not None, f"not counted at all: {told}"
            assert told.tokens == told.usage == event.completion, (told, event)
            self._as_the_processor(told, event)
            self.equal += 1
        elif told.end in ("left", "broken"):
            self._with_a_client_that_is_gone(told, event)
        elif event is None:
            assert told.tokens == 0, f"got tokens that were not counted: {told}"
        elif told.plan.streams:
            assert told.tokens == event.completion, (told, event)  # both heard of the end
            self.equal += 1

    def _death_of(self, name: str, told: Told) -> Death | None:
        """Whether that node died before what was counted of the request was surely written."""
        for death in self.deaths:
            if death.name == name and told.began <= death.at <= told.ended + WRITTEN_SECONDS:
                return death
        return None

    def _with_a_dead_gateway(self, told: Told, event: Row | None, death: Death) -> None:
        """All is counted but what came in the last flush window."""
        surely = told.tokens_before(death.at - WRITTEN_SECONDS)
        counted = 0 if event is None else event.completion
        assert counted >= surely, (told, event, death)
        self._within_a_window("gateway died", told.tokens - counted)
        if told.plan.streams:
            self._within_a_window("gateway died", counted - told.tokens)

    def _with_a_client_that_is_gone(self, told: Told, event: Row | None) -> None:
        """It is charged for what was on its way to it too, at most a window."""
        if event is None:
            assert not told.tokens, f"got tokens that were not counted: {told}"
            return
        assert told.tokens <= event.completion, (told, event)
        if told.plan.streams:
            self._within_a_window("client gone", event.completion - told.tokens)
        own = self.processed.get((told.request, event.processor))
        if own is not None:
            assert own >= event.completion, (told, event, own)
            self._within_a_window("processor told to stop", own - event.completion)

    def _as_the_processor(self, told: Told, event: Row) -> None:
        own = self.processed.get((told.request, event.processor))
        if own is None:
            assert any(
                death.peer_id == event.processor and death.at <= told.ended + LOG_SECONDS
                for death in self.deaths
            ), f"its processor does not know of it: {told}"
            return
        assert own == event.completion, (told, event, own)

    def _within_a_window(self, what: str, tokens: int) -> None:
        assert tokens * TOKEN_COST <= DEFAULT_CREDIT, (what, tokens)
        self.most_apart[what] = max(tokens, self.most_apart.get(what, 0))


@dataclass(frozen=True)
class Scale:
    """How many ask how much, and who dies how often.

    Arguments:
        count: requests, `size` of them at a time.
        seconds: of the longest answer.
        gateway, others: deaths of the gateway, and of processors and clients each.
    """

    count: int
    size: int
    seconds: float
    users: int
    processors: int
    clients: int
    gateway: int
    others: int

    @property
    def names(self) -> list[str]:
        """Of the users."""
        return [f"user{number}" for number in range(self.users)]

    @property
    def serving(self) -> list[str]:
        """Of the processors."""
        return [f"p{number}" for number in range(self.processors)]

    @property
    def asking(self) -> dict[str, str]:
        """Of the clients, each with the user whose key it has: the first, and then none."""
        return {f"c{number}": "" if number else self.names[0] for number in range(self.clients)}

    def dying(self, draw: random.Random) -> list[str]:
        """Who dies, in which order."""
        names = [GATEWAY] * self.gateway
        for some in (self.serving, list(self.asking)):
            names += [draw.choice(some) for _ in range(self.others)]
        draw.shuffle(names)
        return names


def live_through(world: World, todo: list[Plan], names: list[str], size: int) -> list[Told]:
    """Let the crowd ask, and nodes die and return one after the other while it does."""
    returning: dict[str, Future[None]] = {}
    with ThreadPoolExecutor() as pool, Crowd(todo, size, world.door, world.token) as crowd:
        for place, name in enumerate(names):
            crowd.wait(len(todo) * (place + 1) // (len(names) + 1), 120)
            if name in returning:
                returning[name].result()
            world.kill(name)
            returning[name] = pool.submit(world.start, name)
        crowd.wait(len(todo), 120)
        for returned in returning.values():
            returned.result()
    return crowd.told


def check_the_books(world: World, told: list[Told]) -> Judge:
    """All that must hold at the end."""
    home = world.home
    eventually(lambda: not home.running(), 10, "nothing is under way any more")
    world.restart(GATEWAY)
    assert home.running() == {}
    home.check_sums()
    events = home.by_request()  # none twice
    named = {one.request for one in told if one.request}
    nameless = [one for one in told if not one.request]
    assert len(events.keys() - named) <= len(nameless), "requests that nobody asked"
    client = control(world[GATEWAY])
    assert client.accounts("db.check", Nothing(), StoreCheck).problems == ()
    total = client.accounts("usage", UsageAsk(everyone=True), UsageReply).total
    assert total.requests == len(events)
    assert total.completion_tokens == sum(event.completion for event in events.values())
    assert total.prompt_tokens == sum(event.prompt for event in events.values())
    judge = Judge(events, world.processed(), world.deaths)
    for one in told:
        if one.request:
            judge.see(one)
    return judge


@pytest.mark.parametrize(
    "scale",
    [
        Scale(100, 8, 1.0, users=2, processors=1, clients=1, gateway=1, others=1),
        pytest.param(
            Scale(1000, 24, 1.5, users=4, processors=2, clients=2, gateway=3, others=2),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["hundred", "thousand"],
)
def test_client_gateway_and_processor_agree(tmp_path: Path, scale: Scale) -> None:
    draw, count, asking = random.Random(scale.count), scale.count, scale.asking
    with World(tmp_path, scale.names, scale.serving, asking, rate=RATE) as world:
        doors = [(GATEWAY, world.home.key(name)) for name in scale.names]
        doors += [(GATEWAY, ""), *((name, "") for name in asking for _ in range(3))]
        todo = plans(count, doors, seed=count, rate=RATE, longest=scale.seconds)
        told = live_through(world, todo, scale.dying(draw), scale.size)
        judge = check_the_books(world, told)

        assert len(told) == count
        assert judge.equal >= count // 3, "too few to say that they agree"
        outcomes = {event.outcome for event in judge.events.values()}
        assert {"length", "cancelled", "gateway_restarted"} <= outcomes
        payers = {event.user for event in judge.events.values()}
        assert {person.id for person in world.home.people.values()} <= payers
        print(f"{judge.equal} of {count} equal to the token; apart otherwise: {judge.most_apart}")


# -- over a channel, seen event by event -------------------------------------------------------


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway and a processor that nobody kills."""
    with World(tmp_path_factory.mktemp("quiet"), ("ann",), ("p",), {}, rate=RATE) as world:
        yield world


def written(world: World, *requests: str) -> dict[str, Row]:
    """Their events, once they are there, with the processor's own counts too."""

    def all_there() -> dict[str, Row] | None:
        found = world.home.by_request()
        counts = world.processed()
        done = all((r in found and (r, found[r].processor) in counts) for r in requests)
        return found if done else None

    found = eventually(all_there, 20, "all is written")
    assert found is not None
    return found


@pytest.mark.trio
async def test_who_cancels_pays_for_what_was_taken_until_then(quiet: World) -> None:
    """And who stays gets the same figure from all three, to the token."""
    draw, key = random.Random(5), quiet.home.key("ann")
    readers = []
    async with reaching(quiet[GATEWAY]) as channel:
        for number in range(60):
            reader = Reader(enough=draw.randint(1, 40) if number % 3 else None)
            tokens = draw.randint(1, 60)
            reader.ask(channel, tokens, key=key if number % 2 else "", credit=SMALL)
            readers.append(reader)
        await until(lambda: all(reader.end for reader in readers))
    events = await trio.to_thread.run_sync(written, quiet, *(one.request for one in readers))
    processed = quiet.processed()
    reasons = set()
    for reader in readers:
        assert isinstance(reader.end, Finished)
        event = events[reader.request]
        own = processed[reader.request, event.processor]
        assert reader.tokens == reader.end.usage.completion_tokens
        assert reader.tokens <= event.completion <= own, (reader.end, event, own)
        if reader.end.reason == "cancelled":
            assert (own - reader.tokens) * LEAST_COST <= SMALL, (reader.end, event, own)
            # The gateway counts nothing after the cancel: a token may have stood in its line then.
            assert event.completion - reader.tokens <= BURST, (reader.end, event, own)
        else:
            assert reader.tokens == event.completion == own, (reader.end, event, own)
        reasons.add(reader.end.reason)
    assert reasons == {"cancelled", "length"}


@pytest.mark.trio
async def test_who_takes_nothing_and_goes_away_pays_for_a_window_at_most(quiet: World) -> None:
    async with reaching(quiet[GATEWAY]) as channel:
        reader = Reader(takes=False).ask(channel, 100_000, credit=SMALL)
        await until(lambda: reader.cost > SMALL - TOKEN_COST)
    assert reader.end is None or isinstance(reader.end, Failed)  # its own channel's end
    events = await trio.to_thread.run_sync(written, quiet, reader.request)
    event = events[reader.request]
    assert event.outcome == "cancelled"
    assert reader.tokens <= event.completion <= SMALL // LEAST_COST
    own = quiet.processed()[reader.request, event.processor]
    assert event.completion <= own <= SMALL // LEAST_COST


@pytest.mark.trio
async def test_one_that_was_refused_is_not_counted(quiet: World) -> None:
    before = len(quiet.home.events())
    async with reaching(quiet[GATEWAY]) as channel:
        refused = Reader().ask(channel, 5, key=quiet.home.key("ann")[:-1] + "_")
        served = Reader().ask(channel, 5)
        await until(lambda: refused.end and served.end)
    assert isinstance(refused.end, Failed)
    assert refused.end.code == "invalid_api_key"
    events = await trio.to_thread.run_sync(written, quiet, served.request)
    assert len(events) == before + 1
    assert refused.request not in events


@pytest.mark.trio
async def test_what_the_processor_shows_its_owner_is_what_it_counted(quiet: World) -> None:
    async with reaching(quiet[GATEWAY]) as channel:
        readers = [Reader(enough=number).ask(channel, 20) for number in range(10, 30)]
        await until(lambda: all(reader.end for reader in readers))
    await trio.to_thread.run_sync(written, quiet, *(one.request for one in readers))
    shown = await trio.to_thread.run_sync(control(quiet["p"]).share)
    processed = quiet.processed()
    assert shown.requests == len(processed)
    assert shown.tokens == sum(processed.values())
