"""How long a prompt is: about, and at most. Only a model's tokenizer knows it; a gateway has none.

Pure; knows no processor.
"""

from __future__ import annotations

import unicodedata
from typing import Final, Literal

import msgspec

from aiplat.domain.answers import Submission
from aiplat.domain.chat import Generate, Message

CHARS_A_TOKEN = 4
"""Of common text; a processor tells the prompt's true length before its first token."""
TOKENS_A_MESSAGE = 8
"""What a chat template puts around one."""

MOST_A_MESSAGE = 64
"""The same at most: marks and the speaker's name, of which the longest take a dozen tokens."""
MOST_A_TEMPLATE = 4096
"""What a chat template adds to a whole conversation: a system prompt of its own, the date, how
tools are called. Those of published models stay below half of it."""
MOST_ESCAPED = 8
"""What a byte of tools, or of what a tool said, may become: templates write those as JSON, where a
character is escaped by up to six others, and indent them."""

_FORMS: Final[tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], ...]] = ("NFC", "NFD", "NFKC", "NFKD")


def most_tokens(submission: Submission) -> tuple[int, int | None]:
    """About how many tokens the prompt has, and how many at most the answer; None: not said."""
    work, chars = submission.work, chars_of(submission)
    if isinstance(work, Generate):
        prompt = chars // CHARS_A_TOKEN + TOKENS_A_MESSAGE * len(work.messages)
        return prompt, work.sampling.max_tokens
    return chars // CHARS_A_TOKEN + len(work.inputs), 0


def chars_of(submission: Submission) -> int:
    """How long its texts are, in characters."""
    work = submission.work
    if isinstance(work, Generate):
        said = sum(len(message.content) + _calls(message) for message in work.messages)
        return said + len(work.prompt or "") + _tools(work)
    return sum(map(len, work.inputs))


def most_prompt(submission: Submission) -> int:
    """More tokens than this no model makes of the prompt.

    A token of a text is at least one of its bytes: so it is with tokenizers that split bytes (BPE),
    and with those that fall back to bytes (SentencePiece). Some put the text in one of Unicode's
    normal forms before, in which it may be longer (UAX #15: up to three times, in the compatible
    ones up to eleven); so the longest of them counts. What a template adds is allowed for
    generously: who counts more than that is held for a liar (`Claims`).
    """
    work = submission.work
    if isinstance(work, Generate):
        size = sum(
            _size(message.content) * (MOST_ESCAPED if message.role == "tool" else 1)
            + _calls(message) * MOST_ESCAPED
            for message in work.messages
        ) + _size(work.prompt or "")
        size += MOST_ESCAPED * _tools(work)
        return size + MOST_A_MESSAGE * len(work.messages) + MOST_A_TEMPLATE
    return sum(map(_size, work.inputs)) + MOST_A_MESSAGE * len(work.inputs) + MOST_A_TEMPLATE


def same_prompt(one: Submission, other: Submission) -> bool:
    """Whether two requests have the same model read the same."""
    if not (isinstance(one.work, Generate) and isinstance(other.work, Generate)):
        return False
    if one.model != other.model or one.work.tools != other.work.tools:
        return False
    if one.work.prompt != other.work.prompt:
        return False
    mine, its = one.work.messages, other.work.messages
    return mine is its or mine == its


def size_of(text: str) -> int:
    """Its bytes in UTF-8; a half of a surrogate pair has three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _size(text: str) -> int:
    """Bytes of the longest form that a tokenizer may read a text in."""
    if text.isascii():
        return len(text)  # all forms are the same
    return max(size_of(text), *(size_of(unicodedata.normalize(form, text)) for form in _FORMS))


def _calls(message: Message) -> int:
    """Bytes of what a message has besides its text."""
    if not (message.calls or message.call_id or message.name):
        return 0
    size = size_of(message.call_id) + size_of(message.name)
    return size + sum(
        size_of(call.id) + size_of(call.name) + size_of(call.arguments) for call in message.calls
    )


def _tools(work: Generate) -> int:
    """Bytes of what a template is given besides messages."""
    size = len(msgspec.json.encode(work.tools)) if work.tools else 0
    return size + (len(msgspec.json.encode(work.grammar)) if work.grammar else 0)
