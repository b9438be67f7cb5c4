"""What a person does in the chat while something else is under way goes where it was meant."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from aiplat.control.faults import NoNode
from aiplat.control.messages import Accepted, Ask, Done
from aiplat.domain.answers import Delta
from aiplat.domain.conversations import AnswerFacts, AttachedFile, ConversationSettings
from aiplat.domain.errors import NotReady
from aiplat.tui.app import AiplatApp
from aiplat.tui.chat import deeds
from aiplat.tui.chat.sidebar import Sidebar
from tests.support.screens import ScriptedLink, app_of, drive, running, text_of, until
from tests.tui.test_chat import STARTED, asks, chat, gets, kept

LATER = AttachedFile("more.md", "More of it.")


def promised() -> asyncio.Future[Any]:
    """A reply that comes when the test says so."""
    return asyncio.get_running_loop().create_future()


def test_what_is_attached_while_a_question_is_edited_goes_with_it_and_the_draft_comes_back() -> (
    None
):
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            await gets(pilot, await asks(pilot, link, "How?"), "So.")
            pane = chat(app)
            pane.write("a draft")
            pane._edit(pane.talk.path[0])
            pane.talk.files = (LATER,)
            stream = await asks(pilot, link, "How, really?")
            assert isinstance(stream.asked, Ask)
            content = stream.asked.messages[-1].content
            assert "How, really?" in content and "More of it." in content
            assert pane.composer.text == "a draft" and not chat(app).talk.files

    drive(test)


@pytest.mark.parametrize("key", ["ctrl+o", "alt+s"])
def test_settings_are_of_the_conversation_that_was_seen_when_they_were_asked_for(key: str) -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app) as pilot:
            book = chat(app).book
            mine = ConversationSettings(privacy="machine", system="Be brief.")
            book.current.set(mine)
            await pilot.press(key)
            await until(pilot, lambda: len(app.screen_stack) == 2, "the dialog is there")
            other = book.new(ConversationSettings())
            await pilot.click("#yes")
            await until(pilot, lambda: len(app.screen_stack) == 1, "it is left")
            await pilot.pause()
            assert other.conversation.settings == ConversationSettings()

    drive(test)


def test_what_is_asked_while_a_conversation_is_taken_off_the_disk_is_not_kept() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            await gets(pilot, await asks(pilot, link, "How?"), "So.")
            deleted = link.says["history:delete"] = promised()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(deeds._unkeep(chat(app), chat(app).talk))
                await until(pilot, lambda: link.of("history:delete"), "it is being deleted")
                stream = await asks(pilot, link, "And now?")
                assert isinstance(stream.asked, Ask) and stream.asked.keep is None
                deleted.set_result(Done(message="Deleted."))
            assert not chat(app).talk.kept and chat(app).talk.path

    drive(test)


def test_what_could_not_be_done_is_not_so() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            await gets(pilot, await asks(pilot, link, "How?"), "So.")
            talk = chat(app).talk
            link.says["history:delete"] = NotReady("The disk is full.")
            await deeds._unkeep(chat(app), talk)
            assert chat(app).talk.kept
            talk.forgotten()
            link.says["history:save"] = NotReady("The disk is full.")
            await deeds.keep(chat(app))
            assert not chat(app).talk.kept
            await until(pilot, lambda: "not kept" in text_of(app), "it is said")

    drive(test)


def test_a_broken_answer_is_asked_for_once_however_long_that_takes() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            await gets(pilot, await asks(pilot, link, "How?"), "So.")
            pane = chat(app)
            turn = pane.talk.path[-1]
            pane.talk.broken.add(turn.id)
            shown = link.says["history:show"] = promised()
            for _ in range(3):
                pane.answers.mend([pane.talk])
                await pilot.pause()
            assert len(link.of("history:show")) == 1
            whole = replace(turn, text="So, and more.")
            shown.set_result(replace(pane.talk.conversation, turns=(pane.talk.path[0], whole)))
            await until(pilot, lambda: not pane.talk.broken, "it is mended")
            assert pane.talk.path[-1].text == "So, and more."

    drive(test)


def test_a_followed_answer_that_is_stopped_before_it_says_more_keeps_what_came() -> None:
    async def test() -> None:
        old = kept("Long", "Why?", "Part")
        running_facts = AnswerFacts(state="running", request="req-9")
        turns = (old.turns[0], replace(old.turns[1], facts=running_facts))
        link = ScriptedLink()
        link.says["history:show"] = replace(old, turns=turns)
        link.says["answers/stop"] = NoNode("No node runs here.")
        app = app_of(link)
        async with running(app) as pilot:
            chat(app)._open(old.id)
            await until(pilot, lambda: link.streams, "it is followed")
            await pilot.press("escape")
            await until(pilot, lambda: not chat(app).talk.running, "it is stopped")
            assert chat(app).talk.path[-1].text == "Part"

    drive(test)


def test_a_new_conversation_takes_over_who_is_asked_and_no_draft_is_lost() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app, (110, 34)) as pilot:
            pane = chat(app)
            pane.talk.set(ConversationSettings(model="echo", privacy="machine", max_tokens=5))
            pane.write("a draft")
            await pilot.press("ctrl+n")
            expected = ConversationSettings(model="echo", privacy="machine")
            assert pane.talk.conversation.settings == expected and pane.composer.text == ""
            await until(pilot, lambda: "a draft" in text_of(app), "it is in the list")

    drive(test)


def test_nothing_is_typed_into_a_field_that_the_list_covers() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app, (60, 18)) as pilot:
            await pilot.press("ctrl+b")
            await pilot.resize_terminal(160, 42)
            chat(app).composer.focus()
            await pilot.pause()
            await pilot.resize_terminal(60, 18)
            await until(
                pilot, lambda: chat(app).query_one(Sidebar).has_focus_within, "the list has it"
            )

    drive(test)


def test_send_can_be_clicked_and_found_by_name() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            chat(app).write("Why?")
            await pilot.pause()
            send = next(k for k in app.screen.query("FooterKey") if k.action == "send")  # type: ignore[attr-defined]  # of FooterKey
            await pilot.click(send)
            await until(pilot, lambda: link.streams, "it is asked")
            stream = link.streams[-1]
            stream.say(Accepted(request="r"), STARTED, Delta(ids=(1,), text="So."))

    drive(test)


@pytest.mark.parametrize("name", ["peers", "logs"])
def test_a_pane_that_is_asked_for_twice_at_once_is_whole(name: str) -> None:
    async def test() -> None:
        app: AiplatApp = app_of(ScriptedLink())

        async with running(app):
            async with asyncio.TaskGroup() as tasks:
                for _ in range(2):
                    tasks.create_task(app.show_pane(name))
            assert app.pane is not None and app.pane.id == name

    drive(test)
