"""The conversations that are open here, and the list of those that the node keeps."""

from __future__ import annotations

from aiplat.control import calls
from aiplat.control.history import (
    ConversationName,
    ConversationSummary,
    HistoryAsk,
    HistoryList,
)
from aiplat.control.messages import Done
from aiplat.domain.conversations import Conversation, ConversationSettings, Turn, title_of
from aiplat.tui.chat.sidebar import Item
from aiplat.tui.chat.talk import Hears, Talk, new_id
from aiplat.tui.clock import Clock
from aiplat.tui.link import Link

MAX_OPEN = 200
"""Conversations held at once; the ones that were used longest ago and are kept are let go."""
LISTED = 200
_USUAL = ConversationSettings()


class Book:
    """All conversations, as the screen has them.

    Arguments:
        link: asks the node.
        clock: tells the times.
        hears: who shows them.
    """

    def __init__(self, link: Link, clock: Clock, hears: Hears) -> None:
        self.open: dict[str, Talk] = {}
        self.listed: tuple[ConversationSummary, ...] = ()
        self.more = 0
        self.note = ""
        """What the node says of the file that they are kept in, if something is to be said."""
        self._link = link
        self._clock = clock
        self._hears = hears
        self.current = self.new()

    def new(self, settings: ConversationSettings = _USUAL) -> Talk:
        """Begin a conversation, and make it the one that is seen."""
        now = int(self._clock.now())
        conversation = Conversation(id=new_id("cnv"), created=now, updated=now, settings=settings)
        talk = Talk(conversation, self._link, self._clock, self._hears, kept=True)
        self.current = talk
        self._hold(talk)
        return talk

    async def fetch(self, conversation: str) -> tuple[Talk, list[Turn]]:
        """Give that conversation, and its answers that run and are not followed yet.

        Raises:
            AiplatError: the node does not give it.
        """
        talk = self.open.pop(conversation, None)
        if talk is not None:
            self.open[conversation] = talk  # the last that was used
            return talk, []
        wish = ConversationName(id=conversation)
        found = await self._link.call(calls.history("show", wish, Conversation))
        if (talk := self.open.get(conversation)) is not None:
            return talk, []  # it was fetched twice
        talk = Talk(found, self._link, self._clock, self._hears, kept=True)
        self._hold(talk)
        return talk, [t for t in found.turns if t.facts is not None and t.facts.state == "running"]

    def _hold(self, talk: Talk) -> None:
        self.open[talk.conversation.id] = talk
        for name, other in list(self.open.items()):
            if len(self.open) <= MAX_OPEN:
                return
            busy = other.running or other.draft or other.files or other is self.current
            if other is not talk and not busy and (other.is_saved or other.is_empty):
                del self.open[name]

    async def search(self, words: str) -> None:
        """Ask the node for its list. Raises `AiplatError`."""
        wish = HistoryAsk(search=words, most=LISTED)
        found = await self._link.call(calls.history("list", wish, HistoryList))
        self.listed, self.more = found.conversations, found.more
        self.note = found.note or self.note

    async def forget(self, conversation: str) -> str:
        """Have the node forget a conversation; it stays open here. Raises `AiplatError`."""
        talk = self.open.get(conversation)
        if talk is None or talk.is_saved:
            name = ConversationName(id=conversation)
            said = (await self._link.call(calls.history("delete", name, Done))).message
        else:
            said = "The conversation is gone."
        self.listed = tuple(item for item in self.listed if item.id != conversation)
        return said

    def close(self, conversation: str) -> bool:
        """Forget it here; tells whether it was seen, and a new one is now."""
        self.open.pop(conversation, None)
        seen = self.current.conversation.id == conversation
        if seen:
            self.new(asked_as(self.current.conversation.settings))
        return seen

    def items(self, words: str) -> list[Item]:
        """What the list shows: what the node found, and what is only here."""
        listed = {summary.id for summary in self.listed}
        wanted = words.casefold().split()
        here = [
            self._item(talk) for talk in self.open.values()
            if talk.conversation.id not in listed
            and (not talk.is_empty or talk is self.current or talk.draft or talk.files)
            and all(word in _words(talk) for word in wanted)
        ]  # fmt: skip
        return [*reversed(here), *(self._summary(summary) for summary in self.listed)]

    def _item(self, talk: Talk) -> Item:
        return Item(
            talk.conversation.id, talk.title if not talk.is_empty or not talk.draft else
            title_of(talk.draft), self.when(talk.conversation.updated),
            bool(talk.running), talk.kept or talk.is_empty,
        )  # fmt: skip

    def _summary(self, summary: ConversationSummary) -> Item:
        talk = self.open.get(summary.id)
        return Item(
            summary.id, talk.title if talk is not None else summary.title,
            self.when(summary.updated),
            bool(talk.running) if talk is not None else summary.running,
            found=summary.found, marks=summary.marks,
        )  # fmt: skip

    def when(self, at: int) -> str:
        """A time in few words: the hour of today, else the day."""
        if not at:
            return ""
        then, now = self._clock.local(at), self._clock.local(self._clock.now())
        if then.date() == now.date():
            return then.strftime("%H:%M")
        return then.strftime("%d %b" if then.year == now.year else "%b %Y")


def asked_as(settings: ConversationSettings) -> ConversationSettings:
    """What a new conversation takes over: who is asked and who may read, and not how it is said."""
    return ConversationSettings(model=settings.model, peer=settings.peer, privacy=settings.privacy)


def _words(talk: Talk) -> str:
    return " ".join([talk.title, *(turn.text for turn in talk.conversation.turns)]).casefold()
