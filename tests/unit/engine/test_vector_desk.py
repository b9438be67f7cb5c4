"""What is refused of a request for vectors before the model sees it, and what becomes of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from aiplat.domain.answers import Submission
from aiplat.domain.chat import Embed
from aiplat.domain.errors import ContextLengthExceeded, InvalidRequest, UnsupportedParameter
from aiplat.engine.embedding import check_size
from aiplat.engine.vector_backend import VectorBackend
from aiplat.engine.vector_desk import VectorDesk
from tests.support.dialogue import MANIFEST
from tests.unit.engine.hearing import asking


class Words:
    """A model that makes a token of each word, within marks, and no vectors."""

    manifest = MANIFEST.__replace__(context=6)
    size, capacity, note = 8, 0, ""

    def __init__(self, *, cuts: bool = False) -> None:
        self.cuts = cuts
        self.calls: list[int] = []

    def encode(self, texts: Sequence[str], most: int | None) -> list[list[int]]:
        self.calls.append(len(texts))
        found = [[1, *[7] * len(text.split()), 2] for text in texts]
        return [ids if most is None or len(ids) <= most else [*ids[: most - 1], 2] for ids in found]

    def vectors(self, texts: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[bytes]:
        raise AssertionError("nothing is computed here")


def embed(*inputs: str, credit: int = 1000, **more: Any) -> Submission:
    """A submission to a processor."""
    work = Embed(inputs, **more)
    return Submission(id="req-" + "0" * 24, to="processor", work=work, credit=credit)


def test_the_tokens_of_each_text_and_what_a_vector_costs() -> None:
    row = VectorDesk(Words()).row(7, embed("one two", "three"), 5.0)
    assert row.texts == [[1, 7, 7, 2], [1, 7, 2]]
    assert (row.number, row.size, row.cost, row.credit, row.tokens) == (7, 8, 32, 1000, 7)
    assert (row.arrived, row.deadline) == (5.0, 605.0)
    assert isinstance(Words(), VectorBackend)


def test_a_text_over_the_context_is_refused_with_the_numbers() -> None:
    with pytest.raises(ContextLengthExceeded) as refused:
        VectorDesk(Words()).row(1, embed("a", "a b c d e"), 0.0)
    assert str(refused.value).startswith("Text 1 of input has 7 tokens, but tiny reads at most 6")
    assert refused.value.param == "input"


def test_or_cut_where_that_was_asked_for() -> None:
    row = VectorDesk(Words()).row(1, embed("a b c d e f g", truncate=True), 0.0)
    assert row.texts == [[1, 7, 7, 7, 7, 2]]


def test_many_texts_are_read_some_at_a_time() -> None:
    words = Words()
    row = VectorDesk(words).row(1, embed(*["a"] * 100), 0.0)
    assert len(row.texts) == 100
    assert words.calls == [64, 36]


def test_dimensions_only_of_a_model_made_for_them() -> None:
    with pytest.raises(UnsupportedParameter, match="dimensions is 4, but tiny was not made") as no:
        VectorDesk(Words()).row(1, embed("a", dimensions=4), 0.0)
    assert no.value.param == "dimensions"
    assert VectorDesk(Words()).row(1, embed("a", dimensions=8), 0.0).size == 8
    assert VectorDesk(Words(cuts=True)).row(1, embed("a", dimensions=4), 0.0).cost == 16
    with pytest.raises(InvalidRequest, match="dimensions is 9, but the vectors of tiny have 8"):
        VectorDesk(Words(cuts=True)).row(1, embed("a", dimensions=9), 0.0)


def test_a_window_in_which_no_vector_could_move_is_refused() -> None:
    assert VectorDesk(Words()).row(1, embed("a", credit=64), 0.0).credit == 64
    with pytest.raises(InvalidRequest, match="at least 64, two vectors of 32 bytes, but is 63"):
        VectorDesk(Words()).row(1, embed("a", credit=63), 0.0)


def test_another_work_is_refused() -> None:
    with pytest.raises(UnsupportedParameter, match="makes vectors and writes no text"):
        VectorDesk(Words()).row(1, asking("hello"), 0.0)


def test_a_request_has_so_many_characters() -> None:
    check_size(Embed(("abc", "de")), 5)
    with pytest.raises(InvalidRequest, match=r"has 6 characters in all its texts, .* may have 5"):
        check_size(Embed(("abc", "def")), 5)
