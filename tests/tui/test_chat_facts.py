"""The line below an answer, without Textual."""

from __future__ import annotations

import pytest

from aiplat.domain.conversations import AnswerFacts
from aiplat.tui.chat.facts import facts_lines
from aiplat.tui.markdown.lines import text_of, width_of

FACTS = AnswerFacts(
    state="done", reason="stop", model="smollm2-135m", processor="12D3KooWabcdefgh",
    prompt_tokens=31, completion_tokens=120, exact=True, first_token_ms=350, total_ms=5200,
)  # fmt: skip


def test_all_of_it_is_in_one_line() -> None:
    assert [text_of(line) for line in facts_lines(FACTS, "12D3KooWabcdefgh", 110)] == [
        "smollm2-135m · this node · TTFT 350 ms · 24.5 tok/s · 31 in, 120 out · 5.2 s · ✓ done"
    ]


@pytest.mark.parametrize("cells", [1, 8, 20, 52, 60])
def test_where_it_is_narrow_nothing_of_it_is_lost(cells: int) -> None:
    lines = facts_lines(FACTS, "", cells)
    assert all(width_of(line) <= cells for line in lines)
    if cells >= 20:
        whole = " · ".join(map(text_of, lines))
        assert whole == text_of(facts_lines(FACTS, "", 110)[0])
    if cells >= 52:
        assert len(lines) == 2
