"""Draws: the same anywhere, by seed and position; and what they choose of logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from aiplat.engine.draws import uniform
from aiplat.engine.outbox import Outbox
from aiplat.engine.rows import Draw, Drawn, Fault, Row
from tests.support.counting import Numerals

torch = pytest.importorskip("torch")

from aiplat.engine.backends.slots.sampling import choose  # noqa: E402  # needs torch

NAN = float("nan")


def test_draws_are_the_same_on_every_machine() -> None:
    assert [uniform(0, 0), uniform(7, 3), uniform(-(2**63), 2**40)] == [
        0.8344336729487916,
        0.8506104847116868,
        0.04340943459252766,
    ]


def test_draws_are_spread_evenly() -> None:
    draws = [uniform(seed, position) for seed in range(50) for position in range(200)]
    assert all(0 <= draw < 1 for draw in draws)
    tenths = [sum(int(draw * 10) == tenth for draw in draws) for tenth in range(10)]
    assert max(tenths) - min(tenths) < 200


def asker(draw: Draw, *, prompt: Sequence[int] = (), said: Sequence[int] = ()) -> Row:
    return Row(
        number=1, ids=[*prompt, *said], prompt_tokens=len(prompt), limit=10**6, draw=draw,
        voice=Numerals(), outbox=Outbox(0), arrived=0.0, deadline=1.0,
    )  # fmt: skip


def drawn(logits: Any, row: Row) -> Drawn:
    (one,) = choose(logits[None], [row])
    assert isinstance(one, Drawn)
    return one


def token(logits: Any, draw: Draw, prompt: Sequence[int] = (), said: Sequence[int] = ()) -> int:
    return drawn(logits, asker(draw, prompt=prompt, said=said)).token


def chosen(odds: list[float], draw: Draw, count: int = 2000) -> list[int]:
    logits = torch.tensor(odds).log().expand(count, -1)
    rows = [asker(draw._replace(seed=seed)) for seed in range(count)]
    tokens = [one.token for one in choose(logits, rows) if isinstance(one, Drawn)]
    assert len(tokens) == count
    return tokens


def test_temperature_zero_takes_the_likeliest() -> None:
    odds = [0.2, 0.5, 0.3]
    for draw in (
        Draw(0.0, 1.0, 0), Draw(1e-9, 1.0, 0), Draw(2.0, 0.0, 0), Draw(2.0, 1.0, 0, top_k=1),
    ):  # fmt: skip
        assert set(chosen(odds, draw, 50)) == {1}


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (Draw(1.0, 1.0, 0), [0.2, 0.5, 0.3]),
        (Draw(1.0, 0.8, 0), [0.0, 0.625, 0.375]),
        (Draw(1.0, 0.5, 0), [0.0, 1.0, 0.0]),
        (Draw(2.0, 1.0, 0), [0.263, 0.415, 0.322]),
        (Draw(1.0, 1.0, 0, top_k=2), [0.0, 0.625, 0.375]),
        (Draw(1.0, 1.0, 0, min_p=0.5), [0.0, 0.625, 0.375]),
        (Draw(1.0, 0.6, 0, top_k=2), [0.0, 1.0, 0.0]),  # of what top_k leaves, as in vLLM
        (Draw(1.0, 0.6, 0, min_p=0.5), [0.0, 1.0, 0.0]),
        (Draw(1.0, 0.99, 0, top_k=50, min_p=0.01), [0.2, 0.5, 0.3]),
        (Draw(1.0, 1.0, 0, bias=((0, -100.0),)), [0.0, 0.625, 0.375]),
    ],
)
def test_shares_are_as_asked(draw: Draw, expected: list[float]) -> None:
    found = chosen([0.2, 0.5, 0.3], draw)
    shares = [found.count(token) / len(found) for token in range(3)]
    assert shares == pytest.approx(expected, abs=0.04)


def test_a_wide_nucleus_is_whole_and_ties_are_cut_to_their_number() -> None:
    assert len(set(chosen([1 / 5000] * 5000, Draw(1.0, 0.99, 0)))) > 1500
    assert set(chosen([1 / 8] * 8, Draw(1.0, 1.0, 0, top_k=3), 200)) == {0, 1, 2}


def test_it_draws_as_a_sorted_vocabulary_would() -> None:
    """Against the plain way: sort all, cut, and draw in the order of ids."""
    random = torch.Generator().manual_seed(3)
    for case in range(40):
        logits = torch.randn(5120, generator=random) * (1 + case % 4)
        top_p, top_k, min_p = [(0.9, 0, 0.0), (0.5, 40, 0.0), (1.0, 7, 0.1), (0.95, 0, 0.02)][
            case % 4
        ]
        row = asker(Draw(0.8, top_p, case, top_k=top_k, min_p=min_p))
        odds = torch.softmax(logits / 0.8, -1)
        values, ids = odds.sort(descending=True, stable=True)
        keep = values >= min_p * values[0]
        if top_k:
            keep[top_k:] = False
        values = torch.where(keep, values, 0.0).double()
        before = (values / values.sum()).cumsum(0) - values / values.sum()
        left = ids[(before < top_p) & keep].sort().values
        sums = odds[left].double().cumsum(0)
        at = uniform(case, 0) * float(sums[-1])
        assert drawn(logits, row).token == int(left[torch.searchsorted(sums, at, right=True)])


def test_penalties_are_those_of_others() -> None:
    """Repetition over prompt and answer, presence and frequency over the answer alone."""
    logits = torch.tensor([2.0, 1.9, 1.8, -1.0])
    greedy = Draw(0.0, 1.0, 0)
    assert token(logits, greedy, (0,), (0, 1)) == 0
    assert token(logits, greedy._replace(repetition=1.2), (0,), (1,)) == 2
    assert token(logits, greedy._replace(repetition=0.8), (2,)) == 2
    assert token(logits, greedy._replace(presence=0.5), (0,), ()) == 0
    assert token(logits, greedy._replace(presence=0.5), (0,), (0,)) == 1
    assert token(logits, greedy._replace(frequency=0.15), (), (0, 1)) == 0
    assert token(logits, greedy._replace(frequency=0.15), (), (0, 0, 1)) == 2
    assert token(logits, greedy._replace(presence=-2.0), (), (2,)) == 2
    assert token(logits, greedy._replace(bias=((3, 4.0),))) == 3
    below = torch.tensor([-1.0, -1.1])
    assert token(below, greedy._replace(repetition=1.2), (0,)) == 1  # it is no reward below zero
    row = asker(greedy._replace(frequency=0.3, repetition=1.05), prompt=(3,))
    for expected in (0, 1, 2, 0, 1, 2):  # counted on as it grows
        assert drawn(logits, row).token == expected
        row.ids.append(expected)


def test_logprobs_are_of_the_raw_logits() -> None:
    logits = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    wish = Draw(0.0, 1.0, 0, bias=((2, 9.0),), presence=1.0, logprobs=3)
    one = drawn(logits, asker(wish, said=(1,)))
    assert one.token == 2
    assert one.logprob == pytest.approx(math.log(0.125), abs=1e-5)
    assert [at for at, _ in one.top] == [0, 1, 2]
    assert [value for _, value in one.top] == pytest.approx(
        [math.log(0.5), math.log(0.25), math.log(0.125)], abs=1e-5
    )
    assert drawn(logits, asker(wish._replace(logprobs=0))).top == ()
    assert drawn(logits, asker(wish._replace(logprobs=20))).top[3][0] == 3
    assert drawn(logits, asker(wish._replace(logprobs=None))).logprob is None


def test_the_likeliest_of_a_wide_vocabulary_is_the_first_of_the_best() -> None:
    logits = torch.randn(16, 49_152, generator=torch.Generator().manual_seed(2))
    logits[3, [700, 40_000]] = 99.0
    found = choose(logits, [asker(Draw(0.0, 1.0, 0)) for _ in range(16)])
    assert found == [Drawn(int(token)) for token in logits.argmax(-1)]
    assert found[3] == Drawn(700)


def test_company_changes_nothing() -> None:
    """Bit for bit: also the logprobs, whatever the number of rows and whoever stands beside."""
    logits = torch.randn(24, 49_152, generator=torch.Generator().manual_seed(1)) * 4
    wishes = [
        Draw(0.0, 1.0, 0), Draw(1.0, 1.0, 1), Draw(0.7, 0.9, 2), Draw(1.2, 0.95, 3, top_k=40),
        Draw(0.9, 1.0, 4, min_p=0.05, logprobs=4), Draw(0.7, 0.9, 5, repetition=1.3),
        Draw(0.0, 1.0, 0, frequency=0.5, logprobs=2), Draw(0.0, 1.0, 0, logprobs=20),
    ]  # fmt: skip
    rows = [asker(wishes[at % 8], prompt=range(at), said=range(50)) for at in range(24)]
    together = choose(logits, rows)
    for at, row in enumerate(rows):
        assert choose(logits[at : at + 1].clone(), [row]) == [together[at]]
    assert choose(logits[5:17].clone(), rows[5:17]) == together[5:17]
    assert choose(logits[:0], []) == []


def test_what_fails_fails_alone() -> None:
    logits = torch.tensor([[0.0, 1.0, 0.5], [0.0, NAN, 0.5], [2.0, 1.0, float("-inf")], [0, 0, 1]])
    draws = [
        Draw(0.0, 1.0, 0), Draw(1.0, 0.9, 0), Draw(0.5, 0.9, 0),
        Draw(0.0, 1.0, 0, bias=((7, 1.0),)),  # the desk refuses it, but who knows
    ]  # fmt: skip
    first, second, third, fourth = choose(logits, [asker(draw) for draw in draws])
    assert first == Drawn(1)
    assert isinstance(second, Fault)
    assert third in (Drawn(0), Drawn(1))
    assert isinstance(fourth, Fault)
