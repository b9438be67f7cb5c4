"""The pane Chat, driven by keys against a scripted node."""

from __future__ import annotations

import stat
from functools import partial
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, RadioButton, Static

from aiplat.control.faults import NodeSilent
from aiplat.control.history import ConversationSummary, HistoryList
from aiplat.control.messages import (
    Accepted,
    Ask,
    Choice,
    Done,
    Explanation,
    ModelList,
    ModelStatus,
    PeerList,
    PeerStatus,
)
from aiplat.domain.answers import Delta, Finished, Started
from aiplat.domain.conversations import AnswerFacts, Conversation, ConversationSettings, Turn
from aiplat.domain.errors import InvalidRequest, NotReady
from aiplat.domain.usage import Usage
from aiplat.tui.app import AiplatApp
from aiplat.tui.area import Area
from aiplat.tui.chat.pane import ChatPane
from aiplat.tui.chat.sidebar import Sidebar
from aiplat.tui.chat.talk import new_id
from aiplat.tui.chat.transcript import DRAWN
from tests.support.fake_node import MANIFEST
from tests.support.screens import (
    PEER,
    Copies,
    ScriptedLink,
    StillClock,
    Stream,
    app_of,
    drive,
    running,
    status,
    text_of,
    until,
)

STARTED = Started(manifest=MANIFEST, prompt_tokens=12, processor=PEER)
CODE = "Here:\n\n```python\nprint('hi')\n```\n\nDone."


def chat(app: AiplatApp) -> ChatPane:
    assert isinstance(app.pane, ChatPane)
    return app.pane


async def asks(pilot: Pilot[None], link: ScriptedLink, text: str) -> Stream:
    """Type a question, and give the stream of its answer."""
    app = pilot.app
    assert isinstance(app, AiplatApp)
    count = len(link.streams)
    chat(app).write(text)
    await pilot.press("enter")
    await until(pilot, lambda: len(link.streams) == count + 1, "it is asked")
    return link.streams[-1]


async def gets(pilot: Pilot[None], stream: Stream, text: str, request: str = "req-1") -> None:
    """Have the whole answer come."""
    app = pilot.app
    assert isinstance(app, AiplatApp)
    stream.say(Accepted(request=request, kept=True), STARTED, Delta(ids=(1, 2), text=text),
               Finished(reason="stop", usage=Usage(12, 2)))  # fmt: skip
    await until(pilot, lambda: not chat(app).talk.running, "it ended")
    await pilot.pause()


def fault_of(app: AiplatApp) -> str:
    """What a form says is wrong."""
    return str(app.screen.query_one(".fault", Static).content)


def kept(title: str = "Old one", *texts: str) -> Conversation:
    """A conversation as the node keeps it."""
    turns: list[Turn] = []
    for number, text in enumerate(texts or ("Why?", "Because.")):
        answer = number % 2 == 1
        turns.append(Turn(
            id=new_id("trn"), parent=turns[-1].id if turns else "", text=text, at=10 + number,
            role="assistant" if answer else "user",
            facts=AnswerFacts(state="done", reason="stop", request="req-7") if answer else None,
        ))  # fmt: skip
    return Conversation(
        id=new_id("cnv"), title=title, created=10, updated=20, head=turns[-1].id, turns=tuple(turns)
    )


def listed(*found: Conversation) -> HistoryList:
    return HistoryList(conversations=tuple(
        ConversationSummary(id=c.id, title=c.title, created=c.created, updated=c.updated,
                            turns=len(c.turns)) for c in found
    ))  # fmt: skip


def test_a_question_is_asked_and_its_answer_read() -> None:
    async def test() -> None:
        link, clock = ScriptedLink(), StillClock()
        app = app_of(link, clock=clock)
        async with running(app) as pilot:
            stream = await asks(pilot, link, "Why?")
            assert isinstance(stream.asked, Ask)
            assert stream.asked.messages[-1].content == "Why?"
            assert chat(app).composer.text == ""
            stream.say(Accepted(request="req-1", kept=True), STARTED)
            stream.say(Delta(ids=(1,), text="Be**cau"))
            await until(pilot, lambda: "Becau" in text_of(app) or "Be**cau" in text_of(app))
            clock.advance(2)
            stream.say(Delta(ids=(2,), text="se**."), Finished(reason="stop", usage=Usage(12, 2)))
            await until(pilot, lambda: "✓ done" in text_of(app), "it ended")
            text = text_of(app)
            assert "Because." in text and "**" not in text
            assert "echo · this node" in text and "12 in, 2 out" in text

    drive(test)


def test_new_lines_are_typed_and_enter_sends() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            await pilot.press("a", "ctrl+j", "b", "alt+enter", "c", "shift+enter", "d")
            assert chat(app).composer.text == "a\nb\nc\nd"
            await pilot.press("enter")
            await until(pilot, lambda: link.streams, "it is asked")
            asked = link.streams[0].asked
            assert isinstance(asked, Ask) and asked.messages[-1].content == "a\nb\nc\nd"

    drive(test)


def test_nothing_is_not_asked() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            await pilot.press("space", "enter")
            await pilot.pause()
            assert not link.streams and chat(app).talk.is_empty

    drive(test)


def test_esc_stops_a_kept_answer_at_the_node_and_keeps_what_came() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            stream = await asks(pilot, link, "Why?")
            stream.say(Accepted(request="req-5", kept=True), STARTED, Delta(ids=(1,), text="Half"))
            await until(pilot, lambda: "Half" in text_of(app))

            def stop(wish: object) -> Done:
                stream.say(Finished(reason="cancelled", usage=Usage(12, 1)))
                return Done(message="Stopped.")

            link.says["answers/stop"] = stop
            await pilot.press("escape")
            await until(pilot, lambda: "■ stopped" in text_of(app), "it is stopped")
            assert [wish.request for wish in link.of("answers/stop")] == ["req-5"]
            assert "Half" in text_of(app) and not stream.left

    drive(test)


def test_esc_stops_one_that_is_not_kept_by_leaving_it() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            await pilot.press("alt+k")
            stream = await asks(pilot, link, "Why?")
            assert isinstance(stream.asked, Ask) and stream.asked.keep is None
            stream.say(Accepted(request="req-5"), STARTED, Delta(ids=(1,), text="Half"))
            await until(pilot, lambda: "Half" in text_of(app))
            await pilot.press("escape")
            await until(pilot, lambda: "■ stopped" in text_of(app), "it is stopped")
            assert stream.left and not link.of("answers/stop")

    drive(test)


def test_several_conversations_stream_at_once() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            first = await asks(pilot, link, "First?")
            first.say(Accepted(request="req-1", kept=True), STARTED)
            await pilot.press("ctrl+n")
            second = await asks(pilot, link, "Second?")
            first.say(Delta(ids=(1,), text="uno "))
            second.say(Accepted(request="req-2", kept=True), STARTED, Delta(ids=(1,), text="two"))
            await until(pilot, lambda: "two" in text_of(app))
            assert "uno " not in text_of(app)
            first.say(Delta(ids=(2,), text="and more"))
            talks = {talk.title: talk for talk in chat(app).book.open.values()}
            await until(pilot, lambda: talks["First?"].path[-1].id in talks["First?"].running)
            chat(app)._open(talks["First?"].conversation.id)
            await until(pilot, lambda: "uno and more" in text_of(app), "the first is seen")
            first.say(Finished(reason="stop", usage=Usage(12, 2)))
            second.say(Finished(reason="stop", usage=Usage(12, 1)))
            await until(pilot, lambda: not any(t.running for t in talks.values()), "both ended")

    drive(test)


def test_a_draft_waits_in_its_conversation() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            await gets(pilot, await asks(pilot, link, "First?"), "one")
            first = chat(app).talk.conversation.id
            chat(app).write("half a thought")
            await pilot.press("ctrl+n")
            assert chat(app).composer.text == ""
            chat(app)._open(first)
            await until(pilot, lambda: chat(app).composer.text == "half a thought")

    drive(test)


def test_again_and_edit_make_branches_that_are_walked() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            await gets(pilot, await asks(pilot, link, "Why?"), "first answer")
            await pilot.press("ctrl+r")
            await until(pilot, lambda: len(link.streams) == 2, "it is asked again")
            await gets(pilot, link.streams[1], "second answer", "req-2")
            assert "‹ 2/2 ›" in text_of(app) and "first answer" not in text_of(app)
            await pilot.press("alt+up", "left")
            await until(pilot, lambda: "first answer" in text_of(app), "the first branch")
            assert "‹ 1/2 ›" in text_of(app)
            await pilot.press("alt+up")
            await pilot.press("e")
            assert chat(app).composer.text == "Why?"
            assert "Editing a question" in text_of(app)
            chat(app).write("Why not?")
            await pilot.press("enter")
            await until(pilot, lambda: len(link.streams) == 3, "the edited one is asked")
            asked = link.streams[2].asked
            assert isinstance(asked, Ask)
            assert [m.content for m in asked.messages] == ["Why not?"]

    drive(test)


def test_editing_can_be_left() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            await gets(pilot, await asks(pilot, link, "Why?"), "answer")
            await pilot.press("alt+up", "alt+up", "e")
            assert "Editing" in text_of(app)
            await pilot.press("escape")
            assert "Editing" not in text_of(app) and chat(app).composer.text == ""

    drive(test)


def test_code_is_copied_by_one_key_and_blocks_by_the_cursor() -> None:
    async def test() -> None:
        link, copies = ScriptedLink(), Copies()
        app = app_of(link, copies=copies)
        async with running(app) as pilot:
            await gets(pilot, await asks(pilot, link, "Code?"), CODE)
            await pilot.press("alt+c")
            await until(pilot, lambda: copies.texts == ["print('hi')\n"], "the code is copied")
            await pilot.press("alt+up", "c")
            await until(pilot, lambda: copies.texts[-1] == CODE, "the whole answer is copied")
            await pilot.press("alt+down")
            await pilot.press("c")
            await until(pilot, lambda: len(copies.texts) == 3, "the block is copied")
            assert copies.texts[2] == "print('hi')\n"

    drive(test)


def test_without_code_that_is_said() -> None:
    async def test() -> None:
        link, copies = ScriptedLink(), Copies()
        app = app_of(link, copies=copies)
        async with running(app) as pilot:
            await gets(pilot, await asks(pilot, link, "Code?"), "None.")
            await pilot.press("alt+c")
            await until(pilot, lambda: "No answer here" in text_of(app))
            assert not copies.texts

    drive(test)


def test_selected_text_is_copied_without_the_edge() -> None:
    async def test() -> None:
        link, copies = ScriptedLink(), Copies()
        app = app_of(link, copies=copies)
        async with running(app) as pilot:
            await gets(pilot, await asks(pilot, link, "Why?"), "First paragraph.\n\nSecond one.")
            lines = text_of(app).split("\n")
            row = next(i for i, line in enumerate(lines) if "First paragraph." in line)
            column = lines[row].index("First")
            await pilot.mouse_down(offset=(column, row))
            await pilot.hover(offset=(column + 6, row + 2))
            await pilot.mouse_up(offset=(column + 6, row + 2))
            await pilot.press("ctrl+c")
            await until(pilot, lambda: copies.texts, "it is copied")
            assert copies.texts[0].startswith("First paragraph.\n\nSecond")

    drive(test)


def test_model_gateway_and_readers_are_chosen() -> None:
    async def test() -> None:
        other = PEER[:-1] + "2"
        link = ScriptedLink(
            models=ModelList(models=(
                ModelStatus(name="small", state="ready", slots=8, running=2),
                ModelStatus(name="large", state="ready", slots=4, running=1, waiting=3),
                ModelStatus(name="broken", state="failed", note="no memory"),
            )),
            peers=PeerList(peers=(
                PeerStatus(peer_id=other, roles=("gateway", "processor"), models=("large",),
                           address=f"/ip4/192.0.2.9/tcp/4001/p2p/{other}", latency_ms=12.0,
                           tokens_per_second=55.0),
            )),
        )  # fmt: skip
        app = app_of(link)
        async with running(app, (100, 34)) as pilot:
            await pilot.press("ctrl+o")
            await until(pilot, lambda: "Who can read" in text_of(app), "the choice")
            text = text_of(app)
            assert "1/4 +3" in text and "55 tok/s" in text and "no memory" in text
            app.screen.query_one("#models", OptionList).highlighted = 2
            app.screen.query_one("#gateways", OptionList).highlighted = 1
            app.screen.query(RadioButton).last().value = True
            await pilot.press("ctrl+s")
            await until(pilot, lambda: len(app.screen_stack) == 1, "it is closed")
            await until(pilot, lambda: "large · by" in text_of(app), "it holds")
            assert "this machine only" in text_of(app)
            stream = await asks(pilot, link, "Why?")
            asked = stream.asked
            assert isinstance(asked, Ask)
            assert (asked.model, asked.privacy) == ("large", "machine")
            assert asked.peer.endswith(other)

    drive(test)


def test_system_prompt_and_sampling_are_set_and_checked() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            await pilot.press("alt+s")
            await until(pilot, lambda: app.screen.query("#field-system"), "the form")
            system = app.screen.query_one("#field-system", Area)
            await pilot.press("B", "e", "enter", "s", "h", "o", "r", "t", ".", "tab")
            assert system.text == "Be\nshort."
            app.screen.query_one("#field-temperature", Input).value = "7"
            app.screen.query_one("#field-max_tokens", Input).focus()
            await pilot.press("enter")
            await until(pilot, lambda: "temperature must be from 0 to 2" in text_of(app))
            app.screen.query_one("#field-temperature", Input).value = "0.7"
            await pilot.press("enter")
            await until(pilot, lambda: len(app.screen_stack) == 1, "it is closed")
            stream = await asks(pilot, link, "Why?")
            assert isinstance(stream.asked, Ask)
            assert stream.asked.sampling.temperature == 0.7
            assert stream.asked.messages[0].content == "Be\nshort."

    drive(test)


def test_a_file_is_attached_and_removed(tmp_path: Path) -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        file = tmp_path / "notes.md"
        file.write_text("The notes.\n")
        async with running(app) as pilot:
            for path, said in ((tmp_path / "none.md", "cannot be read"), (tmp_path, "is a folder")):
                await pilot.press("alt+a")
                await until(pilot, lambda: app.screen.query("#field-path"), "the form")
                app.screen.query_one("#field-path", Input).value = str(path)
                await pilot.press("enter")
                await until(pilot, lambda said=said: said in fault_of(app))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
                await pilot.press("escape")
            await pilot.press("alt+a")
            await until(pilot, lambda: app.screen.query("#field-path"), "the form")
            app.screen.query_one("#field-path", Input).value = str(file)
            await pilot.press("enter")
            await until(pilot, lambda: "+ notes.md" in text_of(app), "it is attached")
            await pilot.press("alt+d")
            await until(pilot, lambda: "+ notes.md" not in text_of(app), "it is removed")

    drive(test)


def test_the_persons_editor_writes_the_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiplat.domain.errors import ConfigError
    from aiplat.tui.chat.editor import edit

    script = tmp_path / "editor"
    script.write_text('#!/bin/sh\nstat -c %a "$1" > "$0.mode"\necho " more" >> "$1"\n')
    script.chmod(0o700)
    assert edit("some", {"EDITOR": str(script)}) == "some more"
    assert (tmp_path / "editor.mode").read_text().strip() == "600"
    with pytest.raises(ConfigError, match="cannot be run"):
        edit("some", {"EDITOR": str(tmp_path / "none")})
    with pytest.raises(ConfigError, match="ended with 1"):
        edit("some", {"EDITOR": "false"})
    with pytest.raises(ConfigError, match="no command"):
        edit("some", {"VISUAL": "vi 'unended"})


def test_the_list_finds_opens_renames_and_deletes() -> None:
    async def test() -> None:
        old = kept("Old one")
        link = ScriptedLink()
        link.says["history:list"] = lambda wish: (
            listed(old) if wish.search in ("", "becau") else HistoryList(conversations=())
        )
        link.says["history:show"] = old
        link.says["history:delete"] = Done(message="The conversation “Old one” is deleted.")
        app = app_of(link)
        async with running(app) as pilot:
            await until(pilot, lambda: "Old one" in text_of(app), "it is listed")
            await pilot.press("ctrl+b")
            await pilot.press("slash", *"becau")
            await until(pilot, lambda: link.of("history:list")[-1].search == "becau")
            await until(pilot, lambda: "Old one" in text_of(app), "it is found")
            await pilot.press("enter", "enter")
            await until(pilot, lambda: "Because." in text_of(app), "it is opened")
            await pilot.press("alt+r")
            await until(pilot, lambda: app.screen.query("#field-title"), "the form")
            app.screen.query_one("#field-title", Input).value = "New name"
            await pilot.press("enter")
            await until(pilot, lambda: link.of("history:save"), "it is kept")
            saved = link.of("history:save")[0].conversation
            assert saved.title == "New name" and saved.turns == ()
            await pilot.press("alt+e")
            await until(pilot, lambda: "Delete it" in text_of(app), "it is asked")
            await pilot.press("escape")
            assert not link.of("history:delete")
            await pilot.press("alt+e")
            await until(pilot, lambda: "Delete it" in text_of(app), "it is asked")
            link.says["history:list"] = HistoryList(conversations=())
            await pilot.press("tab", "enter")
            await until(pilot, lambda: link.of("history:delete"), "it is deleted")
            await until(pilot, lambda: chat(app).talk.is_empty, "it is gone")

    drive(test)


def test_an_answer_of_an_earlier_screen_is_followed() -> None:
    async def test() -> None:
        old = kept("Old one", "Why?")
        answer = Turn(
            id=new_id("trn"), parent=old.turns[0].id, role="assistant", text="So",
            facts=AnswerFacts(state="running", request="req-9"),
        )  # fmt: skip
        old = msgspec.structs.replace(old, turns=(*old.turns, answer), head=answer.id)
        link = ScriptedLink()
        link.says["history:list"] = listed(old)
        link.says["history:show"] = old
        app = app_of(link)
        async with running(app) as pilot:
            chat(app)._open(old.id)
            await until(pilot, lambda: link.streams, "it is followed")
            stream = link.streams[0]
            assert stream.asked == "req-9"
            stream.say(Accepted(request="req-9", kept=True), STARTED, Delta(text="So it is"))
            await until(pilot, lambda: "So it is" in text_of(app))
            done = msgspec.structs.replace(
                answer, text="So it is", facts=AnswerFacts(state="done", request="req-9")
            )
            turns = (old.turns[0], done)
            link.says["history:show"] = msgspec.structs.replace(old, turns=turns)
            stream.say(Finished(reason="stop", usage=Usage(1, 3)))
            await until(pilot, lambda: "✓ done" in text_of(app))

    drive(test)


def test_keeping_is_ended_by_deleting_from_the_disk() -> None:
    async def test() -> None:
        link = ScriptedLink()
        link.says["history:delete"] = Done(message="Gone.")
        app = app_of(link)
        async with running(app) as pilot:
            await gets(pilot, await asks(pilot, link, "Why?"), "Because.")
            await pilot.press("alt+k")
            await until(pilot, lambda: "deleted from the disk" in text_of(app), "it is asked")
            await pilot.press("tab", "enter")
            await until(pilot, lambda: link.of("history:delete"), "it is deleted there")
            await until(pilot, lambda: "○ not kept" in text_of(app))
            assert "Because." in text_of(app)

    drive(test)


@pytest.mark.parametrize("form", ["markdown", "json"])
def test_a_conversation_is_exported(tmp_path: Path, form: str) -> None:
    from aiplat.domain.errors import InvalidRequest
    from aiplat.tui.chat.forms import write_export

    found = kept("Old one")
    file = write_export(found, form, str(tmp_path / "out"))
    assert file.suffix == (".md" if form == "markdown" else ".json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "Because." in file.read_text()
    with pytest.raises(InvalidRequest, match="is there already"):
        write_export(found, form, str(file))
    with pytest.raises(InvalidRequest, match="cannot be written"):
        write_export(found, form, str(tmp_path / "none" / "out"))


def test_why_this_peer() -> None:
    async def test() -> None:
        link = ScriptedLink()
        link.says["explain"] = Explanation(
            request="req-1", model="echo", gateway=PEER, state="finished",
            choices=(Choice(after=0.01, processor=PEER, reason="the least expected wait"),),
        )  # fmt: skip
        app = app_of(link)
        async with running(app) as pilot:
            await gets(pilot, await asks(pilot, link, "Why?"), "Because.")
            await pilot.press("alt+up", "w")
            await until(pilot, lambda: "the least expected wait" in text_of(app), "it is said")
            assert link.of("explain")[0].request == "req-1"

    drive(test)


def test_what_a_model_says_is_never_markup_or_control() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            hostile = "[red]x[/red] \x1b[2J\x1b]0;t\x07 [@click=app.quit]y[/] \u202eabc"
            await gets(pilot, await asks(pilot, link, hostile), hostile)
            text = text_of(app)
            assert text.count("[red]x[/red]") >= 2 and "[@click=app.quit]y[/]" in text
            assert "\x1b" not in text and "\u202e" not in text

    drive(test)


def test_a_node_that_dies_in_mid_answer_leaves_what_came() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            stream = await asks(pilot, link, "Why?")
            stream.say(Accepted(request="req-1", kept=True), STARTED, Delta(ids=(1,), text="Half"))
            await until(pilot, lambda: "Half" in text_of(app))
            link.vanish()
            link.says["history:show"] = NotReady("No node runs here.")
            stream.say(NotReady("The node of this home ended before its answer was whole."))
            app.world.look_now()
            await until(pilot, lambda: app.world.phase == "lost", "it is missed")
            await until(pilot, lambda: "✕ failed" in text_of(app), "it failed")
            text = text_of(app)
            assert "Half" in text and "ended before its answer was whole" in text
            link.says["history:show"] = InvalidRequest("No conversation has that id.")
            link.says["status"] = status(pid=1)
            before = len(link.of("history:show"))
            app.world.look_now()
            await until(pilot, lambda: app.world.is_attached, "it is back")
            await until(
                pilot, lambda: len(link.of("history:show")) > before, "it is asked for its word"
            )
            assert "Half" in text_of(app)

    drive(test)


def test_a_question_waits_for_a_node_that_starts() -> None:
    async def test() -> None:
        import threading

        link, go = ScriptedLink(), threading.Event()
        link.vanish()

        def start(say: object) -> None:
            assert go.wait(30)
            link.says["status"] = status()

        app = app_of(link, start=start)
        async with running(app) as pilot:
            chat(app).write("Why?")
            await pilot.press("enter")
            await until(pilot, lambda: "Why?" in text_of(app), "it is shown")
            assert not link.streams
            go.set()
            await until(pilot, lambda: link.streams, "it is asked")

    drive(test)


def test_a_long_history_opens_at_its_end_and_its_beginning_can_be_reached() -> None:
    async def test() -> None:
        texts = [f"text {n}" for n in range(300)]
        old = kept("Long", *texts)
        link = ScriptedLink()
        link.says["history:show"] = old
        app = app_of(link)
        async with running(app) as pilot:
            chat(app)._open(old.id)
            await until(pilot, lambda: "text 299" in text_of(app), "its end")
            await until(pilot, lambda: chat(app).transcript._begin == 0, "all is measured")
            assert "text 299" in text_of(app)
            # What is far from where one is, is not kept as it is drawn.
            entries = chat(app).transcript.entries
            assert 0 < sum(entry._lines is not None for entry in entries) <= DRAWN < 300
            assert all(entry._height for entry in entries)
            await pilot.press("ctrl+home")
            await until(pilot, lambda: "text 0" in text_of(app), "its beginning")
            await pilot.press("ctrl+end")
            await until(pilot, lambda: "text 299" in text_of(app), "its end again")

    drive(test)


def test_who_scrolls_up_is_left_there_while_more_comes() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            stream = await asks(pilot, link, "Much?")
            stream.say(Accepted(request="r", kept=True), STARTED)
            stream.say(Delta(ids=(1,), text="".join(f"line {n}\n\n" for n in range(60))))
            await until(pilot, lambda: "line 59" in text_of(app))
            await pilot.press("pageup")
            await pilot.pause()
            seen = text_of(app)
            assert "line 59" not in seen
            stream.say(Delta(ids=(1,), text="".join(f"more {n}\n\n" for n in range(60))))
            await until(pilot, lambda: "more 59" in chat(app).talk.text_of(chat(app).talk.path[-1]))
            await pilot.pause(0.3)
            assert "more 59" not in text_of(app)
            await pilot.press("ctrl+end")
            await until(pilot, lambda: "more 59" in text_of(app), "the end")

    drive(test)


def test_on_a_narrow_screen_the_list_takes_the_place_of_the_chat() -> None:
    async def test() -> None:
        old = kept("Old one")
        link = ScriptedLink()
        link.says["history:list"], link.says["history:show"] = listed(old), old
        app = app_of(link)
        async with running(app, (60, 18)) as pilot:
            assert not app.screen.query_one(Sidebar).display
            await pilot.press("ctrl+b")
            await until(pilot, lambda: "Old one" in text_of(app), "the list")
            await pilot.press("down", "enter")
            await until(pilot, lambda: "Because." in text_of(app), "it is opened")
            assert not app.screen.query_one(Sidebar).display

    drive(test)


def _displays(app: AiplatApp, beside: bool) -> bool:
    return app.screen.query_one(Sidebar).display is beside


def test_a_screen_that_changes_its_size_shows_the_chat_and_the_list_again() -> None:
    async def test() -> None:
        old = kept("Old one")
        link = ScriptedLink()
        link.says["history:list"], link.says["history:show"] = listed(old), old
        app = app_of(link)
        async with running(app, (160, 42)) as pilot:
            for width, beside in ((60, False), (110, True), (60, False), (160, True)):
                await pilot.resize_terminal(width, 30)
                await until(pilot, partial(_displays, app, beside), f"{width} is laid out")
                assert chat(app).composer.region.width >= 20

    drive(test)


def test_settings_of_a_conversation_are_kept_with_it() -> None:
    async def test() -> None:
        old = msgspec.structs.replace(
            kept("Old one"), settings=ConversationSettings(model="large", privacy="machine")
        )
        link = ScriptedLink()
        link.says["history:list"], link.says["history:show"] = listed(old), old
        app = app_of(link)
        async with running(app) as pilot:
            chat(app)._open(old.id)
            await until(pilot, lambda: "this machine only" in text_of(app))
            stream = await asks(pilot, link, "More?")
            asked = stream.asked
            assert isinstance(asked, Ask) and asked.model == "large" and asked.keep is not None
            assert len(asked.keep.conversation.turns) == 1

    drive(test)


def test_a_question_to_a_node_that_does_not_come_can_be_stopped() -> None:
    async def test() -> None:
        import threading

        link, go = ScriptedLink(), threading.Event()
        link.vanish()

        def start(say: object) -> None:
            go.wait(60)

        app = app_of(link, start=start)
        async with running(app) as pilot:
            chat(app).write("Why?")
            await pilot.press("enter")
            await until(pilot, lambda: chat(app).talk.running, "it waits")
            await pilot.press("escape")
            await until(pilot, lambda: not chat(app).talk.running, "it is stopped")
            await until(pilot, lambda: "■ stopped" in text_of(app), "that is said")
            go.set()

    drive(test)


def test_a_frozen_node_is_not_waited_for() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link, start=lambda say: None)
        async with running(app) as pilot:
            link.says["status"] = NodeSilent("The node of this home has not answered: frozen.")
            app.world.look_now()
            await until(pilot, lambda: app.world.phase == "lost", "it is missed")
            assert app.world.restarts_in is None and "frozen" in text_of(app)
            stream = await asks(pilot, link, "Why?")
            stream.say(NodeSilent("The node of this home has not answered: frozen."))
            await until(pilot, lambda: "✕ failed" in text_of(app), "it failed, and says why")

    drive(test)


def test_what_was_typed_is_there_after_editing_and_opening() -> None:
    async def test() -> None:
        old = kept("Old one")
        link = ScriptedLink()
        link.says["history:list"], link.says["history:show"] = listed(old), old
        app = app_of(link)
        async with running(app) as pilot:
            await gets(pilot, await asks(pilot, link, "Why?"), "answer")
            first = chat(app).talk
            chat(app).write("half a thought")
            await pilot.press("alt+up", "alt+up", "e")
            assert chat(app).composer.text == "Why?"
            await pilot.press("escape")
            assert chat(app).composer.text == "half a thought"
            chat(app)._open(old.id)
            await until(pilot, lambda: "Because." in text_of(app), "it is opened")
            assert first.draft == "half a thought" and chat(app).composer.text == ""

    drive(test)
