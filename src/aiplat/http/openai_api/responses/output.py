"""From what came of an answer to its items, and to the events that tell how each came about. Pure.

A message is open until a call begins, and a call until the next thing does; text after a call is a
message of its own. A whole answer is made of the same steps as a stream, so that both are one.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from aiplat.domain.answers import CallPiece, Delta
from aiplat.http.generating import call_id
from aiplat.http.openai_api.rendering import ContentLogprob, logprobs_of
from aiplat.http.openai_api.responses.events import (
    ArgumentsDelta,
    ArgumentsDone,
    Event,
    ItemAdded,
    ItemDone,
    PartAdded,
    PartDone,
    TextDelta,
    TextDone,
)
from aiplat.http.openai_api.responses.items import (
    CallItem,
    ItemStatus,
    MessageItem,
    OutputItem,
    OutputText,
    item_id,
)


class Told:
    """The events that were told and not yet taken, and the number of the next."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._number = 0

    def number(self) -> int:
        """The number of the next event, which then is told."""
        self._number += 1
        return self._number - 1

    def add(self, event: Event) -> None:
        """Tell one."""
        self._events.append(event)

    def take(self) -> list[Event]:
        """Those that were told since this was asked last."""
        events, self._events = self._events, []
        return events


class _OpenMessage:
    """A message that is being written.

    Arguments:
        name: of the item.
        place: its place among the answer's items.
    """

    def __init__(self, told: Told, name: str, place: int) -> None:
        self._told = told
        self._name = name
        self._place = place
        self._texts: list[str] = []
        self._logprobs: list[ContentLogprob] = []
        self._unsent: list[str] = []
        self._unsent_logprobs: list[ContentLogprob] = []
        item = MessageItem(name, "in_progress", "assistant", ())
        told.add(ItemAdded(sequence_number=told.number(), output_index=place, item=item))
        part = OutputText("")
        told.add(
            PartAdded(sequence_number=told.number(), item_id=name, output_index=place, part=part)
        )

    def add(self, text: str, logprobs: list[ContentLogprob]) -> None:
        """Say more."""
        self._unsent.append(text)
        self._unsent_logprobs += logprobs

    def flush(self) -> None:
        """Tell what was not told yet, in one event."""
        text, logprobs = "".join(self._unsent), self._unsent_logprobs
        if not text and not logprobs:
            return
        self._unsent, self._unsent_logprobs = [], []
        self._texts.append(text)
        self._logprobs += logprobs
        self._told.add(
            TextDelta(
                sequence_number=self._told.number(), item_id=self._name,
                output_index=self._place, delta=text, logprobs=logprobs,
            )
        )  # fmt: skip

    def now(self, status: ItemStatus) -> MessageItem:
        """The item, as far as it was told."""
        part = OutputText("".join(self._texts), logprobs=tuple(self._logprobs))
        return MessageItem(self._name, status, "assistant", (part,))

    def close(self, status: ItemStatus) -> MessageItem:
        """End it; gives the item."""
        self.flush()
        item, told, place = self.now(status), self._told, self._place
        part = OutputText("".join(self._texts), logprobs=tuple(self._logprobs))
        told.add(
            TextDone(
                sequence_number=told.number(), item_id=self._name, output_index=place,
                text=part.text, logprobs=part.logprobs,
            )
        )  # fmt: skip
        told.add(
            PartDone(
                sequence_number=told.number(), item_id=self._name, output_index=place, part=part
            )
        )
        told.add(ItemDone(sequence_number=told.number(), output_index=place, item=item))
        return item


class _OpenCall:
    """A call that is being written.

    Arguments:
        index: of the call among the answer's calls.
        call: the item at its beginning.
        place: its place among the answer's items.
    """

    def __init__(self, told: Told, index: int, call: CallItem, place: int) -> None:
        self.index = index
        self._told = told
        self._call = call
        self._place = place
        self._arguments: list[str] = []
        self._unsent: list[str] = []
        told.add(ItemAdded(sequence_number=told.number(), output_index=place, item=call))

    def add(self, arguments: str) -> None:
        """Say more."""
        self._unsent.append(arguments)

    def flush(self) -> None:
        """Tell what was not told yet, in one event."""
        text = "".join(self._unsent)
        if not text:
            return
        self._unsent = []
        self._arguments.append(text)
        self._told.add(
            ArgumentsDelta(
                sequence_number=self._told.number(), item_id=self._call.id,
                output_index=self._place, delta=text,
            )
        )  # fmt: skip

    def now(self, status: ItemStatus) -> CallItem:
        """The item, as far as it was told."""
        return replace(self._call, status=status, arguments="".join(self._arguments))

    def close(self, status: ItemStatus) -> CallItem:
        """End it; gives the item."""
        self.flush()
        item, told = self.now(status), self._told
        told.add(
            ArgumentsDone(
                sequence_number=told.number(), item_id=item.id, output_index=self._place,
                name=item.name, arguments=item.arguments,
            )
        )  # fmt: skip
        told.add(ItemDone(sequence_number=told.number(), output_index=self._place, item=item))
        return item


class Output:
    """The items of one answer.

    Arguments:
        request: the request's id, which names them.
        told: takes the events.
    """

    def __init__(self, request: str, told: Told) -> None:
        self._request = request
        self._told = told
        self._done: list[OutputItem] = []
        self._open: _OpenMessage | _OpenCall | None = None
        self._ahead: list[ContentLogprob] = []

    def feed(self, deltas: Iterable[Delta]) -> None:
        """Take what came together: text of a message is told in one event."""
        for delta in deltas:
            if (told := logprobs_of((delta,))) is not None:
                self._ahead += told.content
            if delta.text:
                self._say(delta.text)
            for piece in delta.calls:
                self._call(piece)
        if self._open is not None:
            self._open.flush()

    def close(self, status: ItemStatus) -> tuple[OutputItem, ...]:
        """End the answer; gives its items, of which there is one at least."""
        if self._open is None and not self._done:
            self._open = self._message()
        if isinstance(self._open, _OpenMessage):
            self._open.add("", self._taken())  # of a token whose text came before
        self._end_open(status)
        return tuple(self._done)

    def now(self) -> tuple[OutputItem, ...]:
        """The items, of an answer that ends in the middle."""
        cut = () if self._open is None else (self._open.now("incomplete"),)
        return (*self._done, *cut)

    def _say(self, text: str) -> None:
        if not isinstance(self._open, _OpenMessage):
            self._end_open()
            self._open = self._message()
        self._open.add(text, self._taken())

    def _taken(self) -> list[ContentLogprob]:
        """The log-probabilities of what is told now: tokens may be ahead of their text."""
        taken, self._ahead = self._ahead, []
        return taken

    def _call(self, piece: CallPiece) -> None:
        self._ahead = []  # the tokens of a call are no text
        if not isinstance(self._open, _OpenCall) or self._open.index != piece.index:
            self._end_open()
            place = len(self._done)
            name = item_id("fc", self._request, "out", place)
            own = call_id(self._request, 0, piece.index)
            call = CallItem(name, "in_progress", own, piece.name, "")
            self._open = _OpenCall(self._told, piece.index, call, place)
        self._open.add(piece.arguments)

    def _message(self) -> _OpenMessage:
        place = len(self._done)
        return _OpenMessage(self._told, item_id("msg", self._request, "out", place), place)

    def _end_open(self, status: ItemStatus = "completed") -> None:
        if self._open is not None:
            self._done.append(self._open.close(status))
            self._open = None
