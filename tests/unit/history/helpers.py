"""Conversations for the tests of the history."""

from __future__ import annotations

import itertools
from pathlib import Path

from aiplat.control.history import ConversationName, HistoryAsk, Save
from aiplat.domain.conversations import AnswerFacts, Conversation, Turn
from aiplat.history.desk import HistoryDesk
from aiplat.history.settings import HistorySettings

NOON = 1_800_000_000
DAY = 86_400

_numbers = itertools.count(1)


def new_id(kind: str) -> str:
    """An id that no other has."""
    return f"{kind}-{next(_numbers):024x}"


class Clock:
    """Seconds since 1970, as a test says."""

    def __init__(self, at: float = NOON) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def question(text: str, parent: str = "", **more: object) -> Turn:
    """A question."""
    return Turn(id=new_id("trn"), parent=parent, text=text, at=NOON, **more)  # type: ignore[arg-type]  # test data


def answer(text: str, parent: str, **facts: object) -> Turn:
    """A whole answer."""
    known = AnswerFacts(**({"state": "done", "model": "tiny"} | facts))  # type: ignore[arg-type]  # test data
    return Turn(id=new_id("trn"), parent=parent, role="assistant", text=text, at=NOON, facts=known)


def talk(*texts: str, title: str = "") -> Conversation:
    """A conversation of questions and answers in turn."""
    turns: list[Turn] = []
    for place, text in enumerate(texts):
        parent = turns[-1].id if turns else ""
        turns.append(answer(text, parent) if place % 2 else question(text, parent))
    return Conversation(id=new_id("cnv"), title=title, turns=tuple(turns))


def desk(folder: Path, clock: Clock | None = None, **settings: object) -> HistoryDesk:
    """A history in a folder."""
    bounds = HistorySettings(**settings)  # type: ignore[arg-type]  # test data
    return HistoryDesk(folder / "history.db", bounds, clock or Clock())


def save(at: HistoryDesk, conversation: Conversation) -> None:
    at.save(Save(conversation=conversation))


def show(at: HistoryDesk, id: str) -> Conversation:
    return at.show(ConversationName(id=id))


def found(at: HistoryDesk, search: str) -> list[str]:
    """The ids that a search gives."""
    return [one.id for one in at.list(HistoryAsk(search=search)).conversations]
