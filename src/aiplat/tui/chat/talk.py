"""One conversation as it is held: its tree of turns, and the answers that are under way.

Knows no widget: whoever shows it hears `changed` and `grew`. A conversation that is not kept lives
here alone; of one that is kept the node has the same, and its answers go on there when the screen
is gone.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from aiplat.control import calls
from aiplat.control.history import ConversationName, Save
from aiplat.control.messages import Accepted, Ask, Done, Keep
from aiplat.domain.answers import Delta, Finished, Queued, Started
from aiplat.domain.conversations import (
    AnswerFacts,
    AttachedFile,
    Conversation,
    ConversationSettings,
    Turn,
    branches_of,
    check_conversation,
    check_turn,
    end_of,
    messages_of,
    path_of,
    title_of,
    with_turns,
)
from aiplat.domain.errors import AiplatError, InvalidRequest, NotReady
from aiplat.tui.clock import Clock
from aiplat.tui.link import Link
from aiplat.tui.text import span, speed

DEADLINE_MS = 3_600_000
"""Milliseconds of a whole answer: a slow machine takes its time with a long one; Esc ends it."""


def new_id(kind: str) -> str:
    """Make an id of a conversation (``cnv``) or a turn (``trn``)."""
    return f"{kind}-{secrets.token_hex(12)}"


class Hears(Protocol):
    """Who shows a conversation."""

    def changed(self, talk: Talk) -> None:
        """Turns came, went, or ended; or something else of it is otherwise."""

    def grew(self, talk: Talk, turn: str, text: str) -> None:
        """More of an answer came."""

    def noted(self, talk: Talk, text: str) -> None:
        """Something has to be said to the person."""


@dataclass
class Running:
    """An answer under way.

    Arguments:
        began: when it was asked, on the clock that never steps back.
        first: when its first word came; None before.
        tokens: what came so far.
        waits: why it has not begun, in words.
    """

    began: float
    request: str = ""
    first: float | None = None
    tokens: int = 0
    waits: str = ""
    stopped: bool = False
    kept: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Talk:
    """A conversation.

    Arguments:
        conversation: as it is.
        kept: whether the node keeps it.
        link: asks the node.
        clock: tells the times.
        hears: who shows it.
    """

    def __init__(
        self, conversation: Conversation, link: Link, clock: Clock, hears: Hears, *, kept: bool
    ) -> None:
        self.conversation = conversation
        self.kept = kept
        self.known = frozenset(turn.id for turn in conversation.turns) if kept else frozenset()
        """The turns that the node has."""
        self.broken: set[str] = set()
        """Answers whose stream broke, though the node may have gone on with them."""
        self.running: dict[str, Running] = {}
        self.draft = ""
        self.files: tuple[AttachedFile, ...] = ()
        self._texts: dict[str, list[str]] = {}
        self._link = link
        self._clock = clock
        self._hears = hears

    @property
    def path(self) -> tuple[Turn, ...]:
        """The turns that are shown."""
        return path_of(self.conversation)

    @property
    def is_saved(self) -> bool:
        """Whether the node has anything of it."""
        return bool(self.known)

    @property
    def whole(self) -> Conversation:
        """The conversation with what came so far of answers under way."""
        turns = (replace(turn, text=self.text_of(turn)) for turn in self.conversation.turns)
        return replace(self.conversation, turns=tuple(turns))

    def _unknown(self) -> tuple[Turn, ...]:
        """The turns that the node lacks, but for answers under way."""
        return tuple(
            turn for turn in self.conversation.turns
            if turn.id not in self.known and turn.id not in self.running
        )  # fmt: skip

    @property
    def title(self) -> str:
        """What it is called."""
        return self.conversation.title or "New conversation"

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said."""
        return not self.conversation.turns

    def text_of(self, turn: Turn) -> str:
        """A turn's text; of an answer under way what came so far."""
        return turn.text + "".join(self._texts.get(turn.id, ()))

    def find(self, turn_id: str) -> Turn | None:
        """A turn by its id."""
        return next((turn for turn in self.conversation.turns if turn.id == turn_id), None)

    # -- asking ----------------------------------------------------------------------------------

    def question(self, text: str, files: tuple[AttachedFile, ...] = (), parent: str = "") -> Turn:
        """Put a question behind `parent`, by default at the end of what is shown.

        Raises:
            InvalidRequest: it is empty or too long, or an answer is still under way before it.
        """
        if not text.strip() and not files:
            raise InvalidRequest("There is nothing to ask: type something first.")
        path = self.path
        before = parent if parent or not path else path[-1].id
        if before in self.running:
            raise InvalidRequest("The answer before is still under way: wait, or stop it with Esc.")
        turn = Turn(
            id=new_id("trn"), parent=before, text=text, files=files, at=int(self._clock.now())
        )
        return self._asked(turn)

    def edited(self, old: Turn, text: str, files: tuple[AttachedFile, ...] = ()) -> Turn:
        """Put a question otherwise: a branch beside `old`, with its files and these."""
        turn = Turn(
            id=new_id("trn"), parent=old.parent, text=text, files=(*old.files, *files),
            at=int(self._clock.now()),
        )  # fmt: skip
        if not turn.content.strip():
            raise InvalidRequest("There is nothing to ask: type something first.")
        return self._asked(turn)

    def _asked(self, turn: Turn) -> Turn:
        check_turn(turn)
        changed = with_turns(self.conversation, turn)
        changed = replace(
            changed, head=turn.id, updated=turn.at, title=changed.title or title_of(turn.text)
        )
        check_conversation(changed)
        self.conversation = changed
        return turn

    def begin(self, parent: Turn) -> Turn:
        """Begin an answer to a question; `answer` then gives it."""
        settings = self.conversation.settings
        turn = Turn(
            id=new_id("trn"), parent=parent.id, role="assistant", at=int(self._clock.now()),
            facts=AnswerFacts(model=settings.model),
        )  # fmt: skip
        self.conversation = replace(
            with_turns(self.conversation, turn), head=turn.id, updated=turn.at
        )
        self.running[turn.id] = Running(self._clock.monotonic())
        self._texts[turn.id] = []
        self._hears.changed(self)
        return turn

    async def answer(self, turn: Turn, ready: Callable[[], Awaitable[None]] | None = None) -> None:
        """Ask the node, and take what comes, to the end. Raises nothing: the turn says how.

        Arguments:
            ready: waited for first: the node may be about to come up.
        """
        await self._take(turn, ready, follow=False)

    async def follow(self, turn: Turn) -> None:
        """Take the rest of an answer that the node has under way since an earlier screen.

        What it came to is then asked of the node, which measured all of it.
        """
        assert turn.facts is not None
        self.running[turn.id] = Running(
            self._clock.monotonic(), request=turn.facts.request, kept=True
        )
        self._texts[turn.id] = []
        self.conversation = with_turns(self.conversation, replace(turn, text=""))
        try:
            await self._take(replace(turn, text=""), None, follow=True)
        finally:  # also where it is stopped before it said anything: what came stays
            ended = self.find(turn.id)
            if ended is not None and not ended.text and turn.text:
                self.conversation = with_turns(self.conversation, replace(ended, text=turn.text))
                self._hears.changed(self)
        await self.refresh(turn.id)

    async def refresh(self, *turns: str) -> tuple[Turn, ...]:
        """Take the node's word for these turns; gives those that are still under way there."""
        name = ConversationName(id=self.conversation.id)
        try:
            found = await self._link.call(calls.history("show", name, Conversation))
        except NotReady:
            return ()  # it is asked again when it is there
        except AiplatError:
            self.broken -= set(turns)
            return ()
        self.broken -= set(turns)
        there = [
            self._longer(turn) for turn in found.turns
            if turn.id in turns and turn.id not in self.running
        ]  # fmt: skip
        self.conversation = with_turns(self.conversation, *there)
        self._hears.changed(self)
        return tuple(t for t in there if t.facts is not None and t.facts.state == "running")

    def _longer(self, told: Turn) -> Turn:
        """The node's word for a turn; or what was seen of it, where that is more of the same.

        A node that died had not written down the last of it.
        """
        seen = self.find(told.id)
        if seen is None or len(seen.text) <= len(told.text):
            return told
        return seen if seen.text.startswith(told.text) else told

    def abandon(self, turn: Turn) -> None:
        """End an answer whose task is gone."""
        run = self.running.get(turn.id)
        if run is not None:
            self._ended(turn, run, turn.facts or AnswerFacts())

    def _ask_of(self, turn: Turn) -> Ask:
        settings = self.conversation.settings
        keep = None
        if self.kept:
            conversation = replace(self.conversation, turns=self._unknown())
            keep = Keep(conversation=conversation, parent=turn.parent, answer=turn.id)
        return Ask(
            messages=messages_of(self.conversation, turn.parent), model=settings.model,
            sampling=settings.sampling, peer=settings.peer, privacy=settings.privacy,
            deadline_ms=DEADLINE_MS, keep=keep,
        )  # fmt: skip

    async def _take(
        self, turn: Turn, ready: Callable[[], Awaitable[None]] | None, *, follow: bool
    ) -> None:
        run = self.running[turn.id]
        facts = turn.facts or AnswerFacts()
        try:
            if ready is not None:
                await ready()
            sent = frozenset({turn.id, *(t.id for t in self._unknown())})
            events = self._link.follow(run.request) if follow else self._link.ask(
                self._ask_of(turn)
            )  # fmt: skip
            async with aclosing(events) as heard:
                async for event in heard:
                    facts = self._heard(turn, run, facts, event)
                    if isinstance(event, Accepted) and event.kept:
                        self.known |= sent
        except AiplatError as fault:
            facts = replace(facts, state="failed", error=str(fault))
            if run.kept and isinstance(fault, NotReady):  # the node, or the way there
                self.broken.add(turn.id)
        finally:
            self._ended(turn, run, facts)

    def _heard(self, turn: Turn, run: Running, facts: AnswerFacts, event: object) -> AnswerFacts:
        match event:
            case Accepted():
                run.request, run.kept = event.request, event.kept
                if event.note:
                    self._hears.noted(self, event.note)
                facts = replace(facts, request=event.request)
            case Queued():
                run.waits = _waits(event)
                self._hears.changed(self)
            case Started():
                run.waits = ""
                facts = replace(
                    facts, model=event.manifest.name, processor=event.processor,
                    gateway=event.gateway, prompt_tokens=event.prompt_tokens, exact=event.exact,
                )  # fmt: skip
                self.conversation = with_turns(self.conversation, replace(turn, facts=facts))
                self._hears.changed(self)
            case Delta():
                facts = self._came(turn, run, facts, event)
            case Finished():
                facts = replace(
                    facts, state="stopped" if event.reason == "cancelled" else "done",
                    reason=event.reason, prompt_tokens=event.usage.prompt_tokens,
                    completion_tokens=event.usage.completion_tokens,
                    cached_tokens=event.usage.cached_tokens, exact=event.usage.exact,
                )  # fmt: skip
        return facts

    def _came(self, turn: Turn, run: Running, facts: AnswerFacts, delta: Delta) -> AnswerFacts:
        if run.first is None:
            run.first = self._clock.monotonic()
            facts = replace(facts, first_token_ms=round((run.first - run.began) * 1000, 1))
        run.tokens += len(delta.ids) or 1
        if delta.text:
            self._texts[turn.id].append(delta.text)
            self._hears.grew(self, turn.id, delta.text)
        return facts

    def _ended(self, turn: Turn, run: Running, facts: AnswerFacts) -> None:
        if facts.state == "running":  # the screen leaves, or the person stopped it
            facts = replace(facts, state="stopped", reason="cancelled")
        if not facts.completion_tokens:
            facts = replace(facts, completion_tokens=run.tokens)
        spent = round((self._clock.monotonic() - run.began) * 1000, 1)
        if run.stopped and facts.state == "failed":
            facts = replace(facts, state="stopped", error="")
        text = turn.text + "".join(self._texts.pop(turn.id, ()))
        self.running.pop(turn.id, None)
        run.over.set()
        ended = replace(turn, text=text, facts=replace(facts, total_ms=spent))
        self.conversation = replace(
            with_turns(self.conversation, ended), updated=int(self._clock.now())
        )
        self._hears.changed(self)

    def live_line(self, turn: Turn) -> str:
        """What is said below an answer under way."""
        run = self.running.get(turn.id)
        if run is None:
            return ""
        now = self._clock.monotonic()
        spent = span(max(0.0, now - run.began))
        if run.waits:
            return f"◌ {run.waits} · {spent} · Esc stops"
        if run.first is None:
            return f"◌ waits for the first word · {spent} · Esc stops"
        seconds = now - run.first
        known = seconds > 0 and run.tokens > 1
        fast = f" · {speed((run.tokens - 1) / seconds)} tok/s" if known else ""
        return f"◉ {spent}{fast} · {run.tokens} tokens · Esc stops"

    # -- stopping, branches, settings --------------------------------------------------------------

    def stops(self) -> str:
        """The request of the newest answer under way, which is marked as stopped; empty: none."""
        for turn_id, run in reversed(self.running.items()):
            if not run.stopped:
                run.stopped = True
                return turn_id
        return ""

    def branch(self, turn: Turn, step: int) -> bool:
        """Show the branch before or behind that of `turn`; tells whether there is one."""
        others = branches_of(self.conversation, turn)
        place = next((i for i, other in enumerate(others) if other.id == turn.id), 0)
        if len(others) < 2:
            return False
        other = others[(place + step) % len(others)]
        self.conversation = replace(self.conversation, head=end_of(self.conversation, other).id)
        self._hears.changed(self)
        return True

    def set(self, settings: ConversationSettings) -> None:
        """Ask otherwise from now on."""
        self.conversation = replace(self.conversation, settings=settings)
        self._hears.changed(self)

    def rename(self, title: str) -> None:
        """Call it otherwise. Raises `InvalidRequest` for a title that cannot be."""
        changed = replace(self.conversation, title=title.strip())
        check_conversation(replace(changed, turns=()))
        self.conversation = changed
        self._hears.changed(self)

    async def save(self) -> None:
        """Have the node keep it as it is now, if it shall be kept. Raises `AiplatError`."""
        if not self.kept or self.is_empty:
            return
        turns = self._unknown()
        head = self.conversation.head
        shown = replace(self.conversation, turns=turns, head="" if head in self.running else head)
        await self._link.call(calls.history("save", Save(conversation=shown), Done))
        self.known |= {turn.id for turn in turns}

    def forgotten(self) -> None:
        """The node has nothing of it any more, and shall not."""
        self.kept, self.known = False, frozenset()


def _waits(event: Queued) -> str:
    parts = [event.reason or "waits for a free slot"]
    if event.place:
        parts.append(f"place {event.place + 1}")
    if event.expected_wait_ms:
        parts.append(f"about {span(event.expected_wait_ms / 1000)}")
    return ", ".join(parts)
