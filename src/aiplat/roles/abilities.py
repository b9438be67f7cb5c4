"""What models do, in words, for a request that asks one for what it was not made for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aiplat.domain.models import Ability

_NAMED = 5


class Words(NamedTuple):
    """Of one ability.

    Arguments:
        does: follows a model's name.
        cannot: says that a processor's does not.
        any_model: one that does.
        asked: what a request of that kind asks for.
    """

    does: str
    cannot: str
    any_model: str
    asked: str


WORDS: dict[Ability, Words] = {
    "generate": Words(
        "answers conversations", "its model answers no conversations", "a model", "an answer"
    ),
    "embed": Words(
        "makes embeddings", "its model makes no embeddings", "a model that makes embeddings",
        "embeddings",
    ),
    "tools": Words("calls tools", "its model calls no tools", "a model that calls tools", "calls"),
    "grammar": Words(
        "keeps to a grammar", "its model keeps to no grammar", "a model that keeps to a grammar",
        "an answer of a form",
    ),
}  # fmt: skip


def not_made_for(model: str, can: Sequence[Ability], needs: Ability, able: Sequence[str]) -> str:
    """Say what a model does, and which others here do what was asked for.

    Arguments:
        model: its name.
        can: what it does.
        needs: what was asked for.
        able: the models here that do.
    """
    does = " and ".join(WORDS[one].does for one in can) or "does nothing that is known here"
    text = f"The model {model!r} {does}, and was asked for {WORDS[needs].asked}."
    if not able:
        more = " (such as all-minilm-l6-v2)" if needs == "embed" else ""
        return f"{text} No model here {WORDS[needs].does}: serve one{more}."
    few = ", ".join(able[:_NAMED]) + (", …" if len(able) > _NAMED else "")
    return f"{text} Ask for one that {WORDS[needs].does}: {few}."
