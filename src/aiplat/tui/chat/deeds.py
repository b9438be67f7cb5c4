"""What a person does with a conversation besides asking: each a dialog, and what comes of it.

Each runs in a worker of the pane, and raises nothing.
"""

from __future__ import annotations

from typing import Any, Protocol

from textual.app import App, SuspendNotSupported

from aiplat.control import calls
from aiplat.control.calls import Call, Reply
from aiplat.control.messages import ModelStatus
from aiplat.domain.conversations import ConversationSettings, Turn
from aiplat.domain.errors import AiplatError
from aiplat.tui.chat.answers import Answers
from aiplat.tui.chat.attach import MAX_FILES, read_attached
from aiplat.tui.chat.book import Book
from aiplat.tui.chat.composer import Composer
from aiplat.tui.chat.editor import edit, undisturbed
from aiplat.tui.chat.talk import Talk
from aiplat.tui.text import flat
from aiplat.tui.threads import in_thread
from aiplat.tui.world import World


class Chat(Protocol):
    """What is asked of the pane."""

    book: Book
    answers: Answers

    @property
    def app(self) -> App[Any]:
        """The app, for its dialogs."""

    @property
    def world(self) -> World:
        """What is known of the node."""

    @property
    def talk(self) -> Talk:
        """The conversation that is seen."""

    @property
    def composer(self) -> Composer:
        """Where one writes."""

    async def ask(self, call: Call[Reply]) -> Reply:
        """Put a question to the node."""

    async def held(self, conversation: str) -> Talk | None:
        """A conversation, open or not; None where it cannot be had, which was said."""

    def tell(self, text: str, *, severity: str = "information") -> None:
        """Say something."""

    def write(self, text: str) -> None:
        """Put a text where one writes."""

    def draw_all(self, *, keep_place: bool = False) -> None:
        """Draw the conversation that is seen."""

    def draw_files(self) -> None:
        """Draw what goes with the next question."""

    def draw_list(self) -> None:
        """Draw the conversations."""

    def turned(self) -> None:
        """Another conversation is seen."""

    def reload(self) -> None:
        """Ask the node for the list."""


async def pick(pane: Chat) -> None:
    """Choose model, gateway, and who can read."""
    from aiplat.tui.chat.picker import Picker, offers

    trouble = ""
    models: tuple[ModelStatus, ...] = ()
    status = pane.world.status
    peers = status.peers if status is not None else ()
    try:
        models = (await pane.ask(calls.model_list())).models
        peers = (await pane.ask(calls.peers())).peers
    except AiplatError as fault:
        trouble = str(fault)
    own = status.peer_id if status is not None else ""
    gateways = [peer for peer in peers if "gateway" in peer.roles]
    talk = pane.talk  # another one may be seen when the dialog is left
    found = offers(models, peers, own, speeds=pane.answers.speeds_of(own))
    picker = Picker(talk.conversation.settings, found, gateways, trouble=trouble)
    if (chosen := await pane.app.push_screen_wait(picker)) is not None:
        await _set(pane, talk, chosen)


async def set_up(pane: Chat) -> None:
    """Set system prompt and sampling."""
    from aiplat.tui.chat.forms import settings_form, settings_from

    talk = pane.talk
    settings = talk.conversation.settings
    values = await pane.app.push_screen_wait(settings_form(settings))
    if values is not None:
        await _set(pane, talk, settings_from(settings, values))


async def _set(pane: Chat, talk: Talk, settings: ConversationSettings) -> None:
    talk.set(settings)
    await _save(pane, talk)


async def _save(pane: Chat, talk: Talk) -> bool:
    try:
        await talk.save()
    except AiplatError as fault:
        pane.tell(str(fault), severity="error")
        return False
    return True


async def save(pane: Chat) -> None:
    """Have the node keep what is otherwise, such as which branch is seen."""
    await _save(pane, pane.talk)


async def attach(pane: Chat) -> None:
    """Attach a text file to the next question."""
    from aiplat.tui.dialogs import Field, Form

    talk = pane.talk
    if len(talk.files) >= MAX_FILES:
        pane.tell(f"A question has at most {MAX_FILES} files.", severity="warning")
        return
    form = Form(
        "Attach a file", [Field("path", "A text file", hint="~/notes.md")], done="Attach",
        check=lambda values: read_attached(values["path"]),
    )  # fmt: skip
    values = await pane.app.push_screen_wait(form)
    if values is None:
        return
    try:
        file = await in_thread(lambda: read_attached(values["path"]))
    except AiplatError as fault:
        pane.tell(str(fault), severity="error")
        return
    talk.files = (*talk.files, file)
    pane.draw_files()


async def write_in_editor(pane: Chat) -> None:
    """Write the prompt in the person's own editor; answers go on coming meanwhile."""
    text = pane.composer.text
    try:
        with undisturbed(), pane.app.suspend(), pane.app.batch_update():
            text = await in_thread(lambda: edit(text))
    except SuspendNotSupported:
        pane.tell("This terminal cannot be handed to an editor.", severity="warning")
        return
    except AiplatError as fault:
        pane.tell(str(fault), severity="error")
    pane.app.refresh(layout=True)
    pane.write(text)


async def keep(pane: Chat) -> None:
    """Keep the conversation, or keep it no more."""
    from aiplat.tui.dialogs import Confirm

    talk = pane.talk
    if talk.running:
        pane.tell("Wait for the answer, or stop it first.", severity="warning")
        return
    if not talk.kept:
        talk.kept = True
        if await _save(pane, talk):
            pane.tell("This conversation is kept.")
        else:
            talk.kept = False
    else:
        text = (
            "What was kept of this conversation is deleted from the disk now. It stays on the "
            "screen until you leave."
        )
        question = Confirm("Do not keep it", text, yes="Delete it from the disk")
        if talk.is_saved and not await pane.app.push_screen_wait(question):
            return
        await _unkeep(pane, talk)
    pane.draw_all(keep_place=True)
    pane.reload()


async def _unkeep(pane: Chat, talk: Talk) -> None:
    talk.kept = False  # what is asked meanwhile is not kept either
    try:
        await pane.book.forget(talk.conversation.id)
    except AiplatError as fault:
        talk.kept = True
        pane.tell(str(fault), severity="error")
        return
    talk.forgotten()
    pane.tell("This conversation is not kept: it is gone when you leave.")


async def rename(pane: Chat, conversation: str) -> None:
    """Call a conversation otherwise."""
    from aiplat.tui.chat.forms import title_form

    if (talk := await pane.held(conversation)) is None:
        return
    values = await pane.app.push_screen_wait(title_form(talk.conversation.title))
    if values is not None:
        before = talk.conversation.title
        talk.rename(values["title"])
        if not await _save(pane, talk):
            talk.rename(before)
        pane.reload()


async def export(pane: Chat, conversation: str) -> None:
    """Write a conversation to a file."""
    from aiplat.tui.chat.forms import export_form, write_export

    if (talk := await pane.held(conversation)) is None:
        return
    values = await pane.app.push_screen_wait(export_form(talk.title))
    if values is None:
        return
    try:
        file = await in_thread(lambda: write_export(talk.whole, values["form"], values["path"]))
    except AiplatError as fault:
        pane.tell(str(fault), severity="error")
    else:
        pane.tell(f"Written to {file}.")


async def delete(pane: Chat, conversation: str) -> None:
    """Delete a conversation, once that is confirmed."""
    from aiplat.tui.dialogs import Confirm

    if (talk := await pane.held(conversation)) is None:
        return
    if talk.running:
        pane.tell("An answer is under way in it: stop it first.", severity="warning")
        return
    text = (
        f"“{flat(talk.title)}” with its {len(talk.conversation.turns)} turns is deleted from the "
        "disk. This cannot be undone."
    )
    if not await pane.app.push_screen_wait(Confirm("Delete", text, yes="Delete it")):
        return
    try:
        said = await pane.book.forget(conversation)
    except AiplatError as fault:
        pane.tell(str(fault), severity="error")
        return
    pane.tell(said)
    if pane.book.close(conversation):
        pane.turned()
    pane.draw_list()
    pane.reload()


async def why(pane: Chat, turn: Turn) -> None:
    """Say why an answer came from where it did."""
    from aiplat.tui.chat.why import why_text
    from aiplat.tui.dialogs import ShowText

    assert turn.facts is not None
    try:
        told = await pane.ask(calls.explain(turn.facts.request))
    except AiplatError as fault:
        pane.tell(str(fault), severity="error")
        return
    status = pane.world.status
    text = why_text(told, status.peer_id if status is not None else "")
    await pane.app.push_screen_wait(ShowText("Why this peer?", text))
