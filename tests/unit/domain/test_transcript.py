"""Transcripts: what is in them, and that nothing written in a turn swallows the next one."""

from __future__ import annotations

import datetime
import json
import random

import pytest
from markdown_it import MarkdownIt

from aiplat.domain.conversations import (
    AnswerFacts,
    AttachedFile,
    Conversation,
    ConversationSettings,
    Turn,
)
from aiplat.domain.transcript import as_json, as_markdown, figures, utc

DONE = AnswerFacts(
    state="done", reason="stop", model="tiny", processor="12D3KooWabcdefgh", first_token_ms=212.4,
    total_ms=1212.4, prompt_tokens=9, completion_tokens=31,
)  # fmt: skip
FIRST = Turn(id="trn-1", text="What is it?", files=(AttachedFile("a`b.py", "x = '```'\n"),))
SECOND = Turn(id="trn-2", parent="trn-1", role="assistant", text="**This**.", facts=DONE)
OTHER = Turn(
    id="trn-3", parent="trn-1", role="assistant", text="That", facts=AnswerFacts(state="stopped")
)
TALK = Conversation(
    id="cnv-1", title="A talk", created=1_800_000_000, head="trn-2", turns=(FIRST, SECOND, OTHER),
    settings=ConversationSettings(system="Be brief."),
)  # fmt: skip


def test_a_model_is_sent_the_text_and_each_file_and_no_empty_text() -> None:
    file = "a`b.py:\n````\nx = '```'\n````"
    assert FIRST.content == f"What is it?\n\n{file}"
    assert Turn(id="trn-1", files=FIRST.files).content == file
    assert Turn(id="trn-1").content == ""


def test_the_shown_path_with_figures_under_each_answer() -> None:
    assert as_markdown(TALK) == (
        "# A talk\n\n_2027-01-15 08:00 UTC, cnv-1_\n\n## System\n\nBe brief.\n\n## Question\n\n"
        "What is it?\n\na\\`b.py:\n\n````\nx = '```'\n````\n\n## Answer (1 of 2)\n\n**This**.\n\n"
        "_tiny · by …abcdefgh · first token 212 ms · 30.0 tok/s · 9 tokens in, 31 out · 1.2 s · "
        "stop_\n"
    )


def test_whole_has_every_branch() -> None:
    text = as_markdown(TALK, whole=True)
    assert text.endswith("## Answer (2 of 2, another branch)\n\nThat\n\n_stopped by a person_\n")
    assert "That" not in as_markdown(TALK)


def test_json_has_all_that_is_known() -> None:
    found = json.loads(as_json(TALK))
    assert [turn["id"] for turn in found["turns"]] == ["trn-1", "trn-2", "trn-3"]
    assert found["turns"][1]["facts"]["completion_tokens"] == 31
    assert found["turns"][0]["files"] == [{"name": "a`b.py", "text": "x = '```'\n"}]


def test_what_a_stranger_wrote_is_no_markup_in_a_line_of_figures() -> None:
    facts = AnswerFacts(state="failed", error="a_b *c*\n# d \x1b[0m", model="m`_", exact=False,
                        prompt_tokens=3)  # fmt: skip
    line = figures(facts)
    assert line == ("m\\`\\_ · about 3 tokens in, 0 out · failed: a\\_b \\*c\\* \\# d \\[0m")
    assert figures(AnswerFacts()) == "still under way"


@pytest.mark.parametrize("seconds", [0, 951_782_399, 951_868_800, 1_800_000_000, 4_107_542_400])
def test_dates_are_those_of_the_calendar(seconds: int) -> None:
    when = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    assert utc(seconds) == when.strftime("%Y-%m-%d %H:%M UTC")


def headings(text: str) -> list[str]:
    """Our headings in a document, by a parser that passes CommonMark's own tests."""
    tokens = MarkdownIt("commonmark").parse(text)
    return [
        tokens[place + 1].content
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0 and token.markup == "##"
    ]


def talk(text: str) -> Conversation:
    turns = (
        Turn(id="trn-1", text=text),
        Turn(id="trn-2", parent="trn-1", role="assistant", text=text, facts=DONE),
        Turn(id="trn-3", parent="trn-2", text="the end"),
    )
    return Conversation(id="cnv-1", title=text, turns=turns)


SHOWN = ["Question", "Answer", "Question"]


@pytest.mark.parametrize(
    "text",
    [
        "```python\nunfinished", "~~~\n```\n~~~", "```\na\n ```\nb\n```", "1. a\n   ```\nb\n   ```",
        "- ```\n  x", "> ```\nx", "<!-- gone", "<script>\n\nx", "<?php", "a\n\n    ```\n", "\\",
        "````\n```\n````", "``` a ` b", "| a |", "<div>", "[a]: <", "***", "a\n===", "`", "\r```\r",
    ],
)  # fmt: skip
def test_nothing_in_a_turn_swallows_the_next(text: str) -> None:
    assert headings(as_markdown(talk(text))) == SHOWN


def test_nor_does_anything_put_together_of_such_pieces() -> None:
    pieces = [
        "```", "````", "~~~", "~~~~", "`", "\n", "\n", "\n\n", "    ", "  ", " ", "\t", "- ", "1. ",
        "> ", "* ", "text", "```py\n", "\n```\n", "<!--", "-->", "<pre>", "</pre>", "<div>", "<?",
        "<a", "[x]: ", "***", "\\", "\n   ```\n", "\n  ~~~\n", "&lt;!--", "<![CDATA[", "]]>", "\r",
    ]  # fmt: skip
    draw = random.Random(11)
    for _ in range(1500):
        text = "".join(draw.choices(pieces, k=draw.randrange(1, 14)))
        assert headings(as_markdown(talk(text))) == SHOWN, repr(text)


def test_an_answer_as_models_give_it_stays_as_it_is() -> None:
    for text in (
        "Use this:\n\n```python\nif a < b:\n    print('<!--')\n```\n\nDone.",
        "1. First\n\n   ```sh\n   ls\n\n   ```\n\n2. Second **bold** `<T>`\n\n| a |\n|---|\n",
    ):
        assert text.strip("\n") in as_markdown(talk(text))
        assert headings(as_markdown(talk(text))) == SHOWN
