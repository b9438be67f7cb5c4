"""What models, gateways, editors say never controls the terminal; what is copied is as it was."""

from __future__ import annotations

import re

import pytest
from textual.geometry import Offset
from textual.selection import Selection

from aiplat.domain.answers import Queued, Started
from aiplat.domain.conversations import AnswerFacts, Turn
from aiplat.tui.app import AiplatApp
from aiplat.tui.chat.entry import Entry
from aiplat.tui.chat.facts import facts_lines
from aiplat.tui.chat.pane import ChatPane
from aiplat.tui.chat.selected import selected
from aiplat.tui.chat.talk import new_id
from aiplat.tui.markdown.lines import text_of as text_of_line
from aiplat.tui.text import harmless, short_peer
from tests.support.fake_node import MANIFEST
from tests.support.screens import Copies, ScriptedLink, app_of, drive, running, text_of, until
from tests.tui.test_chat import asks, gets

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
ESCAPE = "\x1b[2J\x1b[H"
HOSTILE = (
    "<http://x/%1B%5B2J> <http://x/%07> <http://x/%C2%9B31m> <http://x/%0D>\n\n"
    '[a](http://x/%1B "t") [b](<http://x/&#27;[2J>) ![c&#x202e;](http://y/&#7;)\n\n'
    "&#x202e;one&rlm; &#27;[31m &#155;2J &#8; **&lrm;two** `\u202ethree`\n\n# &#x2066;four\n\n"
    "```py&#x202e;&#7;\nx = 1\t# \u202efive\x1b[2J\n```\n\n"
    "| a&#x202e; | b&#27; |\n|---|---|\n| &rlm;c | <http://x/%1B> |\n\n"
    "- ```&#x202e;\n  \tsix\n  ```\n\n> &#x202e;seven\n\n<b>\x9b&#27;</b>\n\n    eight\t\x07\n"
)


def chat(app: AiplatApp) -> ChatPane:
    assert isinstance(app.pane, ChatPane)
    return app.pane


def answer(text: str) -> Entry:
    facts = AnswerFacts(state="done", reason="stop", model="model")
    return Entry(Turn(id=new_id("trn"), role="assistant", text=text, facts=facts), "")


def test_no_line_of_a_hostile_answer_holds_a_control_code() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app, (140, 60)) as pilot:
            await gets(pilot, await asks(pilot, link, "Why?"), HOSTILE)
            transcript = chat(app).transcript
            height = transcript.virtual_size.height
            assert "eight" in text_of(app)
            drawn = [segment.text for y in range(height) for segment in transcript.render_line(y)]
            assert not [text for text in drawn if CONTROL.search(text)]
            assert not CONTROL.search(text_of(app).replace("\n", ""))

    drive(test)


@pytest.mark.parametrize("size", [1, 3, 50])
def test_nor_does_one_that_streams_in(size: int) -> None:
    entry = Entry(Turn(id="trn", role="assistant", facts=AnswerFacts(state="running")), "")
    for place in range(0, len(HOSTILE), size):
        entry.append(HOSTILE[place : place + size])
        assert not any(CONTROL.search(text) for line in entry.lines(60) for text, _ in line)


def test_nor_do_the_words_of_a_gateway() -> None:
    facts = AnswerFacts(state="done", model=f"m{ESCAPE}", processor=f"12D3{ESCAPE}")
    assert not any(CONTROL.search(text_of_line(line)) for line in facts_lines(facts, "own", 80))
    assert short_peer(ESCAPE) == "" and short_peer("12D3KooW" + "a" * 8) == "a" * 8

    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            stream = await asks(pilot, link, "Why?")
            stream.say(Queued(reason=f"waits\u202e {ESCAPE}here"))
            await until(pilot, lambda: "waits here" in text_of(app), "it is said")
            stream.say(Started(manifest=MANIFEST, prompt_tokens=1, processor=ESCAPE))
            await pilot.pause()
            assert not CONTROL.search(text_of(app).replace("\n", ""))

    drive(test)


def test_what_is_put_into_the_composer_is_harmless_and_keeps_tabs() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app) as pilot:
            composer = chat(app).composer
            composer.load_text(f"a\t{ESCAPE}b\u202e\r\nc")
            assert composer.text == "a\tb\nc"
            composer.text = f"d{ESCAPE}"
            composer.insert(f"\x9be\t{ESCAPE}", composer.document.end)
            assert composer.text == "de\t"
            await pilot.pause()
            assert not CONTROL.search(text_of(app).replace("\n", ""))

    drive(test)


def test_what_is_copied_has_tabs_and_nothing_that_controls() -> None:
    assert harmless(f"a:\r\n\t{ESCAPE}go\u202e\x07") == "a:\n\tgo"

    async def test() -> None:
        link, copies = ScriptedLink(), Copies()
        app = app_of(link, copies=copies)
        async with running(app) as pilot:
            text = f"Here:\n\n```make\nall:\n\t{ESCAPE}go\n```\n"
            await gets(pilot, await asks(pilot, link, "Code?"), text)
            assert "    go" in text_of(app)
            await pilot.press("alt+c")
            await until(pilot, lambda: copies.texts == ["all:\n\tgo\n"], "it is copied")

    drive(test)


CODE = "all:\n\tgo\tfast\n    \n  " + "x" * 30 + " " + "y" * 30 + " \nend\n"


def marked(entry: Entry, width: int, selection: Selection) -> str:
    return selected(entry.lines(width), selection.get_span)


@pytest.mark.parametrize("width", [14, 20, 33, 34, 90])
@pytest.mark.parametrize("before", ["", "- ", "> "])
def test_marked_code_is_the_code(width: int, before: str) -> None:
    inner = {"": "", "- ": "  ", "> ": "> "}[before]
    fence = f"```make\n{CODE}```\n".splitlines()
    entry = answer(before + fence[0] + "\n" + "".join(f"{inner}{line}\n" for line in fence[1:]))
    lines = [text_of_line(line) for line in entry.lines(width)]
    first = next(i for i, line in enumerate(lines) if "all:" in line)
    last = next(i for i, line in enumerate(lines) if "end" in line)
    found = marked(entry, width, Selection(Offset(-2, first), Offset(width, last)))
    assert found == CODE.removesuffix("\n")


def test_a_part_of_a_line_is_what_is_marked_of_it() -> None:
    entry = answer("A word and more.\n\n```\ncode is here\n```\n")
    lines = [text_of_line(line) for line in entry.lines(60)]
    prose, code = (next(i for i, line in enumerate(lines) if w in line) for w in ("word", "code"))
    assert marked(entry, 60, Selection(Offset(2, prose), Offset(7, prose))) == "word "
    assert marked(entry, 60, Selection(Offset(6, code), Offset(9, code))) == "is "
    both = marked(entry, 60, Selection(Offset(11, prose), Offset(5, code)))
    assert both == "more.\n\ncode"
