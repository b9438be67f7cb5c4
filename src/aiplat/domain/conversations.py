"""A conversation as a person keeps it: a tree of turns, of which one path is shown. Pure data.

Each turn names the one before it. An answer that was given again, or a question that was put
otherwise, is another child of the same turn: a branch. What is shown is the path from the first
turn to the conversation's `head`.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from aiplat.domain.answers import Privacy
from aiplat.domain.chat import Message, Sampling
from aiplat.domain.errors import InvalidRequest

MAX_TURNS = 4000
"""Of one conversation, over all branches."""
MAX_TURN_CHARS = 2_000_000
MAX_TITLE_CHARS = 120

_ID = re.compile(r"(cnv|trn)-[0-9a-f]{24}")


class AnswerFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of an answer besides its text: the line below it.

    Arguments:
        state: `stopped` by a person, with what had come; `failed` says why in `error`.
        reason: why it ended (`Finished.reason`), where it did.
        request: its name on every hop.
        processor, gateway: peer ids.
        first_token_ms, total_ms: as the face or the node that kept it measured them.
        exact: whether the tokens were counted by their ids.
    """

    state: Literal["running", "done", "stopped", "failed"] = "running"
    reason: str = ""
    error: str = ""
    request: str = ""
    model: str = ""
    processor: str = ""
    gateway: str = ""
    first_token_ms: float = 0.0
    total_ms: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    exact: bool = True

    @property
    def tokens_per_second(self) -> float:
        """How fast it came after its first token; 0 where that is not known."""
        seconds = (self.total_ms - self.first_token_ms) / 1000
        if seconds <= 0 or self.completion_tokens < 2:
            return 0.0
        return (self.completion_tokens - 1) / seconds


class AttachedFile(msgspec.Struct, frozen=True):
    """A text file that goes with a question, under its name without folders."""

    name: str
    text: str


class Turn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question or an answer.

    Arguments:
        id: ``trn-`` and 24 hexadecimal digits, made by the face.
        parent: the turn before it; empty for a first one.
        at: when it was asked, or began, in seconds since 1970 (UTC).
        facts: of an answer; None for a question.
        files: what was attached to a question.
    """

    id: str
    parent: str = ""
    role: Literal["user", "assistant"] = "user"
    text: str = ""
    at: int = 0
    facts: AnswerFacts | None = None
    files: tuple[AttachedFile, ...] = ()

    @property
    def content(self) -> str:
        """What a model is sent of it: the text, and each file in a fence of its own."""
        files = (f"{file.name}:\n{fenced(file.text)}" for file in self.files)
        return "\n\n".join((self.text, *files) if self.text else files)


def fenced(text: str) -> str:
    """Put a text into a fence (CommonMark 4.5) that it cannot close itself."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    end = "" if text.endswith("\n") or not text else "\n"
    return f"{fence}\n{text}{end}{fence}"


class ConversationSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the answers of a conversation are asked for; None and "" leave it to the model.

    Arguments:
        peer: the multiaddr of the gateway to ask, and no other.
        privacy: who may read it.
        system: what is said to the model before the first turn.
    """

    model: str = ""
    peer: str = ""
    privacy: Privacy = "any"
    system: str = ""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None

    @property
    def sampling(self) -> Sampling:
        """The same, as a request has it."""
        return Sampling(temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens)


class Conversation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A conversation with all its turns, in the order in which they were made.

    Arguments:
        id: ``cnv-`` and 24 hexadecimal digits, made by the face.
        title: empty until a person gave one, or the first question did.
        created, updated: seconds since 1970 (UTC).
        head: the last turn of the path that is shown; empty for the newest.
    """

    id: str
    title: str = ""
    created: int = 0
    updated: int = 0
    settings: ConversationSettings = ConversationSettings()
    head: str = ""
    turns: tuple[Turn, ...] = ()


def path_of(conversation: Conversation, head: str = "") -> tuple[Turn, ...]:
    """Give the turns from the first to `head`, or to the conversation's own head."""
    turns = {turn.id: turn for turn in conversation.turns}
    at = head or conversation.head
    turn = turns.get(at) or (conversation.turns[-1] if conversation.turns else None)
    path: list[Turn] = []
    while turn is not None and len(path) <= len(turns):  # a circle ends too
        path.append(turn)
        turn = turns.get(turn.parent)
    return tuple(reversed(path))


def branches_of(conversation: Conversation, turn: Turn) -> tuple[Turn, ...]:
    """Give the turns that stand in `turn`'s place, itself among them, the oldest first."""
    return tuple(
        other
        for other in conversation.turns
        if other.parent == turn.parent and other.role == turn.role
    )


def places_of(conversation: Conversation) -> dict[str, tuple[int, int]]:
    """Tell of each turn, by its id, which of how many branches it is, counted from 1."""
    groups: dict[tuple[str, str], list[str]] = {}
    for turn in conversation.turns:
        groups.setdefault((turn.parent, turn.role), []).append(turn.id)
    return {
        turn_id: (number, len(group))
        for group in groups.values()
        for number, turn_id in enumerate(group, 1)
    }


def end_of(conversation: Conversation, turn: Turn) -> Turn:
    """Give the end of the newest path that begins with `turn`: where walking to a branch leads."""
    newest = {other.parent: other for other in conversation.turns}  # the last made of each parent
    end, left = turn, len(conversation.turns)
    while end.id in newest and left:
        end, left = newest[end.id], left - 1
    return end


def messages_of(conversation: Conversation, head: str = "") -> tuple[Message, ...]:
    """Give what a model is sent to go on after `head`: the system prompt and the path.

    An answer that failed before its first word says nothing, and is left out.
    """
    said = tuple(
        Message(turn.role, turn.content) for turn in path_of(conversation, head) if turn.content
    )
    system = conversation.settings.system
    return (Message("system", system), *said) if system else said


def with_turns(conversation: Conversation, *turns: Turn) -> Conversation:
    """Put turns in, in the place of those with the same id, new ones at the end."""
    new = {turn.id: turn for turn in turns}
    kept = tuple(new.pop(turn.id, turn) for turn in conversation.turns)
    return msgspec.structs.replace(conversation, turns=(*kept, *new.values()))


def title_of(text: str) -> str:
    """Make a title of a first question: its first line that says something, cut."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = "".join(c if c.isprintable() else " " for c in line)
    return line if len(line) <= 60 else line[:59].rstrip() + "…"


def check_conversation(conversation: Conversation) -> None:
    """Raise `InvalidRequest` for what cannot be kept."""
    _check_id(conversation.id, "cnv")
    if len(conversation.title) > MAX_TITLE_CHARS:
        raise InvalidRequest(
            f"A title has at most {MAX_TITLE_CHARS} characters, this one "
            f"{len(conversation.title)}.",
            param="title",
        )
    if len(conversation.turns) > MAX_TURNS:
        raise InvalidRequest(
            f"A conversation has at most {MAX_TURNS} turns, this one {len(conversation.turns)}: "
            "begin a new one.",
            param="turns",
        )
    for turn in conversation.turns:
        check_turn(turn)


def check_turn(turn: Turn) -> None:
    """Raise `InvalidRequest` for a turn that cannot be kept."""
    _check_id(turn.id, "trn")
    if turn.parent:
        _check_id(turn.parent, "trn")
    if turn.parent == turn.id:
        raise InvalidRequest("A turn cannot come after itself.", param="parent")
    if len(turn.content) > MAX_TURN_CHARS:
        raise InvalidRequest(
            f"A turn has at most {MAX_TURN_CHARS} characters with its files, this one "
            f"{len(turn.content)}.",
            param="text",
        )


def _check_id(text: str, kind: Literal["cnv", "trn"]) -> None:
    if not _ID.fullmatch(text) or not text.startswith(kind):
        raise InvalidRequest(
            f"An id must be '{kind}-' and 24 hexadecimal digits, but is {text[:40]!r}.", param="id"
        )
