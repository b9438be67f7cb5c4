"""Counts what requests come to, from the moment they are let in until it is on the disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from aiplat.accounts.directory import Session
from aiplat.accounts.limits.limiter import LimitHit, Reservation
from aiplat.accounts.metered import Batch, Event, Running
from aiplat.accounts.shared_prompt import SharedPrompt
from aiplat.domain.accounts import MAX_LIMIT
from aiplat.domain.answers import Failed, Finished, Started
from aiplat.domain.usage import Timings


class Progress(Protocol):
    """A request under way, as its gateway has it."""

    @property
    def tokens(self) -> int:
        """The tokens of the answer that were accepted so far."""

    @property
    def model(self) -> str:
        """The model that it was placed for."""

    @property
    def began(self) -> Started | None:
        """What its processor said of it, the latest one's."""

    @property
    def processor(self) -> str | None:
        """Who has it."""


class Lease(msgspec.Struct, eq=False):
    """A request that was let in: what is held back for it, and what it came to.

    Attributes:
        payer: whom it counts for: an account's id, or ``peer:`` and a peer's.
        key: the key's id, empty without one.
        room: tokens of the answer that are held back; `grow` is called for more.
        shared: the prompt, where other choices of the same request have it too.
        session: the id of the log-in that asked; empty where none did.
    """

    meter: Meter
    id: int
    payer: str
    key: str
    request: str
    reservation: Reservation
    room: int
    reserved: int
    at: int
    _guess: int
    progress: Progress | None = None
    ended: bool = False
    shared: SharedPrompt | None = None
    session: str = ""
    _written: tuple[int, int] | None = None

    @property
    def sharing(self) -> int:
        """How many requests have, or had, its prompt in common; 1 for itself alone."""
        return 1 if self.shared is None else self.shared.joined

    def share(self, beside: Lease) -> None:
        """Have the prompt in common with another choice of the same request."""
        self.shared = beside.shared = beside.shared or SharedPrompt(beside)
        self.shared.join(self)

    def started(self, prompt_tokens: int) -> None:
        """The prompt's length is known now, to the token.

        Raises:
            RateLimited, QuotaExceeded: with it the request does not fit any more.
        """
        if not self.ended:
            self._adjust(self._held(prompt_tokens) + self.room)

    def grow(self, prompt_tokens: int, tokens: int) -> None:
        """The answer is longer than what is held back: hold back more.

        Raises:
            RateLimited, QuotaExceeded: there is no more.
        """
        if not self.ended:
            room = tokens + self.reserved
            self._adjust(self._held(prompt_tokens) + room)
            self.room = room

    def _adjust(self, tokens: int) -> None:
        try:
            self.reservation.adjust(tokens)
        except LimitHit as hit:
            self.meter.refused(hit.limit)
            raise

    def take_over(self) -> None:
        """Hold the prompt from now on, whose holder had no use of it (`SharedPrompt`)."""
        began = None if self.progress is None else self.progress.began
        prompt = self._guess if began is None else began.prompt_tokens
        try:
            self.reservation.adjust(prompt + self.room)
        except LimitHit:
            pass  # its month is another: it was let in, and what it uses beyond counts at its end

    def give_back(self) -> None:
        """It was refused after all, before anything was done: nothing is counted."""
        if not self.ended:
            self.ended = True
            self.reservation.settle(0)
            self.meter.forget(self)
            if self.shared is not None:
                self.shared.left(self)

    def end(
        self,
        end: Finished | Failed,
        model: str,
        outcome: str,
        timings: Timings,
        *,
        by_asker: bool = False,
    ) -> None:
        """It ended; called once, whatever the end was.

        Of the answer what was accepted counts. The prompt counts once a processor has begun with
        it (`Started`), if

        - the answer went well, or was cancelled, or its reader went away; or
        - any of it was accepted before it failed; or
        - what ended it is its asker's (`by_asker`): the deadline of the whole request, a key or an
          account that may ask no more, a limit that the answer itself ran into.

        One that a processor, the gateway, or a limit that its prompt does not fit ended before its
        first token was of no use to anybody: it counts as nothing.

        Arguments:
            end: what was told, with the usage that the gateway counted.
            model: the one that answered, or was asked for.
            outcome: ``stop``, …, or an error's code, out of a closed set.
            by_asker: whether a failure is the asker's.
        """
        if self.ended:
            return
        self.ended = True
        began = None if self.progress is None else self.progress.began
        usage = end.usage
        completion, cached, used = 0, 0, None
        if began is not None and usage is not None:
            completion, cached = _sane(usage.completion_tokens), _sane(usage.cached_tokens)
            if completion or by_asker or isinstance(end, Finished):
                used = usage.prompt_tokens
        prompt = self._counted(used)
        cached = min(prompt, cached)
        self.reservation.settle(prompt + completion)
        if self.shared is not None:
            self.shared.left(self)
        self.meter.over(
            self,
            Event(
                self.at, self.request, self.payer, self.key, model,
                "" if began is None else began.manifest.numerics,
                (self.progress.processor if self.progress else None) or "",
                prompt, cached, completion, usage.exact if usage is not None else True,
                timings.queue_ms, timings.first_token_ms, timings.total_ms, outcome,
            ),
        )  # fmt: skip

    @property
    def has_row(self) -> bool:
        """Whether it was handed over as one under way."""
        return self._written is not None

    def _held(self, prompt_tokens: int) -> int:
        """What is held back for a prompt: once for all choices of the same request."""
        return prompt_tokens if self.shared is None or self.shared.holder is self else 0

    def _counted(self, prompt_tokens: int | None) -> int:
        """What of a prompt counts for this one; None where it made no use of it."""
        if prompt_tokens is not None:
            prompt_tokens = _sane(prompt_tokens)
        if self.shared is None:
            return prompt_tokens or 0
        return self.shared.counted(self, prompt_tokens)

    def row(self) -> Running | None:
        """How it stands, if that changed since it was asked last."""
        progress = self.progress
        began = None if progress is None else progress.began
        tokens = 0 if progress is None else progress.tokens
        prompt = self._counted(began.prompt_tokens if began is not None and tokens else None)
        if (tokens, prompt) == self._written:
            return None
        self._written = tokens, prompt
        if progress is None or began is None:
            return Running(self.id, self.request, self.at, self.payer, self.key, prompt=prompt)
        return Running(
            self.id, self.request, self.at, self.payer, self.key, progress.model,
            began.manifest.numerics, progress.processor or "", prompt, tokens, began.exact,
        )  # fmt: skip


def _sane(tokens: int) -> int:
    """What a processor told, as far as it can be written down: a peer may tell any number."""
    return tokens if 0 <= tokens <= MAX_LIMIT else max(0, min(tokens, MAX_LIMIT))


class Meter:
    """The requests of one gateway that are under way, or ended and are not written yet.

    Arguments:
        wall: seconds since 1970 (UTC); may jump.
        refused: told of each request that a limit ended in the middle, by the limit's name.
    """

    def __init__(
        self,
        wall: Callable[[], float],
        refused: Callable[[str], None] = lambda limit: None,
    ) -> None:
        self.refused = refused
        self._wall = wall
        self._live: dict[int, Lease] = {}
        self._ended: list[tuple[int, Event]] = []
        self._used: dict[str, int] = {}
        self._sessions: dict[str, int] = {}
        self._noted: set[str] = set()
        self._minute = 0
        self._next = 0

    def __len__(self) -> int:
        """How many events wait to be taken."""
        return len(self._ended)

    def wall_ms(self) -> int:
        """The time of day, in milliseconds since 1970 (UTC)."""
        return round(self._wall() * 1000)

    def lease(
        self,
        payer: str,
        key: str,
        request: str,
        reservation: Reservation,
        room: int,
        reserved: int,
        *,
        prompt: int = 0,
        beside: Lease | None = None,
    ) -> Lease:
        """A request was let in.

        Arguments:
            prompt: how many tokens that may have.
            beside: another choice of the same request, with the same prompt.
        """
        self._next += 1
        lease = Lease(
            self, self._next, payer, key, request, reservation, room, reserved, self.wall_ms(),
            prompt,
        )  # fmt: skip
        if beside is not None:
            lease.share(beside)
        self._live[lease.id] = lease
        return lease

    def live(self) -> list[Lease]:
        """Those under way."""
        return list(self._live.values())

    def forget(self, lease: Lease) -> None:
        """It counts for nothing."""
        self._live.pop(lease.id, None)

    def over(self, lease: Lease, event: Event) -> None:
        """It ended."""
        self._live.pop(lease.id, None)
        self._ended.append((lease.id if lease.has_row else 0, event))

    def used(self, key: str) -> None:
        """A key was used at this minute; that is written once for each."""
        self._note(key, self._used)

    def used_session(self, session: Session) -> None:
        """The same of a log-in."""
        session.last_used = self._note(session.id, self._sessions)

    def _note(self, name: str, used: dict[str, int]) -> int:
        """Note a use at this minute, which it gives."""
        minute = int(self._wall()) // 60 * 60
        if minute != self._minute:
            self._minute, self._noted = minute, set()
        if name not in self._noted:
            self._noted.add(name)
            used[name] = minute
        return minute

    def take(self) -> Batch | None:
        """What changed since the last time; None when nothing did."""
        rows = (lease.row() for lease in self._live.values())
        running = {row.id: row for row in rows if row is not None}
        if not (running or self._ended or self._used or self._sessions):
            return None
        batch = Batch(running, self._ended, self._used, self._sessions)
        self._ended, self._used, self._sessions = [], {}, {}
        return batch
