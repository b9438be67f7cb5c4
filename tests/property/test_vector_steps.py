"""However requests for vectors come, each gets all of its own, once and in their order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import Finished
from tests.unit.engine.test_vector_steps import COST, Model, row

REQUESTS = st.lists(
    st.tuples(
        st.lists(st.integers(1, 40), min_size=1, max_size=30),
        st.sampled_from(["a", "b", "c"]),
        st.integers(2, 6),
    ),
    min_size=1,
    max_size=8,
)


@given(REQUESTS, st.integers(16, 64))
def test_each_gets_its_vectors_once_and_in_order(
    requests: list[tuple[list[int], str, int]], budget: int
) -> None:
    model = Model(budget=budget, most=len(requests))
    for number, (lengths, tag, window) in enumerate(requests, 1):
        model.steps.add(row(number, *lengths, tag=tag, credit=window * COST))
    for _ in range(2000):
        read = model.turn()
        tokens = [requests[number - 1][0][place] for number, place in read]
        assert len(read) <= 1 or sum(tokens) <= budget
        for number, (lengths, _, window) in enumerate(requests, 1):
            taken = sum(one == number for one, _ in read)
            assert taken <= window
            if len(model.vectors(number)) < len(lengths):
                model.steps.grant(number, taken * COST)
        if model.steps.next_deadline() is None:
            break
    for number, (lengths, _, _) in enumerate(requests, 1):
        assert model.vectors(number) == list(range(len(lengths)))
        assert isinstance(model.end(number), Finished)
        assert model.end(number).usage.prompt_tokens == sum(lengths)
