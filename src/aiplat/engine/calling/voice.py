"""An answer that may call tools, as its tokens come: text and calls. Pure."""

from __future__ import annotations

from aiplat.domain.answers import MAX_PIECE_CHARS, CallPiece
from aiplat.engine.calling.bodies import Call
from aiplat.engine.calling.finding import Finder
from aiplat.engine.speech import Speech


class CallingVoice:
    """A `Voice` that takes calls out of what a speech says.

    Arguments:
        speech: makes text of tokens, marks of calls included.
        finder: finds them.
        one: whether the answer ends with its first call.
    """

    def __init__(self, speech: Speech, finder: Finder, *, one: bool = False) -> None:
        self._speech = speech
        self._finder = finder
        self._one = one
        self._given = 0

    @property
    def ended(self) -> bool:
        """Whether the model, a stop string or its only call ended the answer (`Voice`)."""
        return self._speech.ended or (self._one and self._finder.count > 0)

    @property
    def stop(self) -> str:
        """The stop string that ended it (`Voice`)."""
        return self._speech.stop

    @property
    def called(self) -> bool:
        """Whether tools were called (`Voice`)."""
        return self._finder.count > 0

    def say(self, token: int) -> str:
        """Take the next token (`Voice`)."""
        if self.ended:
            return ""
        return self._finder.push(self._speech.say(token))

    def flush(self) -> str:
        """Give what was held back (`Voice`)."""
        return self._finder.push(self._speech.flush()) + self._finder.flush()

    def take_calls(self) -> tuple[CallPiece, ...]:
        """The calls that became whole (`Voice`)."""
        pieces: list[CallPiece] = []
        for call in self._finder.take():
            if self._one and self._given:  # several at once were the model's; one was asked for
                break
            pieces += pieces_of(self._given, call)
            self._given += 1
        return tuple(pieces)

    def is_end(self, token: int) -> bool:
        """Whether the token ends an answer (`Voice`)."""
        return self._speech.is_end(token)


def pieces_of(index: int, call: Call) -> list[CallPiece]:
    """A call in pieces, the first of which has its name."""
    room = MAX_PIECE_CHARS - len(call.name)
    first = CallPiece(index, call.name, call.arguments[:room])
    starts = range(room, len(call.arguments), MAX_PIECE_CHARS)
    rest = [CallPiece(index, "", call.arguments[at : at + MAX_PIECE_CHARS]) for at in starts]
    return [first, *rest]
