"""The pane Chat: conversations, the one that is seen, and where the next prompt is written."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from aiplat.domain.conversations import Turn
from aiplat.domain.errors import AiplatError, InvalidRequest
from aiplat.tui.chat import bindings, deeds
from aiplat.tui.chat.answers import Answers
from aiplat.tui.chat.book import Book, asked_as
from aiplat.tui.chat.composer import Composer
from aiplat.tui.chat.drawing import entries_of, files_line, head_line
from aiplat.tui.chat.empty import empty_words
from aiplat.tui.chat.entry import Entry
from aiplat.tui.chat.rail import Rail
from aiplat.tui.chat.sidebar import Sidebar
from aiplat.tui.chat.talk import Talk
from aiplat.tui.chat.transcript import Transcript
from aiplat.tui.notice import Notice
from aiplat.tui.pane import Pane
from aiplat.tui.steady import Steady
from aiplat.tui.text import harmless

GATHER_SECONDS = 0.05
"""What comes is gathered for so long, or three times as long as the last drawing took."""


class ChatPane(Pane):
    """The pane."""

    SECONDS = 5.0

    HELP: ClassVar[str] = bindings.HELP
    BINDINGS: ClassVar[list[BindingType]] = bindings.BINDINGS

    DEFAULT_CSS = """
    ChatPane #body { height: 1fr; }
    ChatPane #main { width: 1fr; min-width: 20; }
    ChatPane #head { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap;
        text-overflow: ellipsis; }
    ChatPane #empty { height: 1fr; padding: 2 3; color: $text-muted; display: none; }
    .-short ChatPane #empty { padding: 0 2; }
    ChatPane.-empty #empty { display: block; }
    ChatPane.-empty Transcript { display: none; }
    ChatPane Transcript { height: 1fr; }
    ChatPane #files { height: auto; display: none; padding: 0 2; color: $accent; }
    ChatPane #files.-shown { display: block; }
    .-narrow ChatPane.-list #main { display: none; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id)
        self.answers = Answers(self)
        self._entries: dict[str, Entry] = {}
        self._dirty = asyncio.Event()
        self._editing: Turn | None = None
        self._trouble = ""
        self._lives = 0
        self._is_whole = False

    def compose(self) -> ComposeResult:
        """List, transcript, composer, rail."""
        self.book = Book(self.aiplat.link, self.aiplat.clock, self)
        with Horizontal(id="body"):
            yield Sidebar()
            with Vertical(id="main"):
                yield Steady(id="head")
                yield Notice()
                yield Steady(id="empty")
                yield Transcript(id="transcript")
                yield Steady(id="files")
                yield Composer()
            yield Rail()

    def on_mount(self) -> None:
        """Show the list where there is room for it, and begin to draw what comes."""
        self._is_whole = True
        self.query_one(Sidebar).set_class(self.aiplat.preferences.sidebar, "-shown")
        self.draw_all()
        self._drawing()

    @property
    def _can_draw(self) -> bool:
        """Whether all parts are there: they are composed one by one, and so taken down."""
        return self._is_whole and all(
            self.query(part) for part in ("#rail-text", "#conversations", "#transcript", "#empty")
        )

    @property
    def talk(self) -> Talk:
        """The conversation that is seen."""
        return self.book.current

    @property
    def transcript(self) -> Transcript:
        """Its turns."""
        return self.query_one(Transcript)

    @property
    def composer(self) -> Composer:
        """Where one writes."""
        return self.query_one(Composer)

    def focus_first(self) -> None:
        """Write."""
        self.composer.focus()

    async def load(self) -> None:
        """Ask the node for the list."""
        try:
            await self.book.search(self.query_one(Sidebar).words)
        except AiplatError as fault:
            self._trouble = str(fault)
        else:
            self._trouble = ""
        self.draw_list()

    def on_resize(self) -> None:
        """Where the list takes the chat's place, it has the focus: nothing is typed unseen."""
        if self._list_covers and self.composer.has_focus:
            self.query_one(Sidebar).focus_list()
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        if self._can_draw:
            self._draw_head()
            self.draw_list()

    def node_changed(self) -> None:
        """Show how the network is."""
        if not self._can_draw:
            return
        self._draw_rail()
        if self.world.lives != self._lives:
            self._lives = self.world.lives
            self.draw_all(keep_place=True)
            self.reload()
        elif self.world.is_attached and any(talk.broken for talk in self.book.open.values()):
            self.answers.mend(list(self.book.open.values()))
        elif self.talk.is_empty:
            self._draw_empty()

    # -- what is heard of conversations (`talk.Hears`) ---------------------------------------------

    def changed(self, talk: Talk) -> None:
        """Turns came, went or ended."""
        if talk is self.talk:
            self.draw_all(keep_place=True)
        else:
            self.draw_list()

    def grew(self, talk: Talk, turn: str, text: str) -> None:
        """More of an answer came; it is drawn with what else comes soon."""
        entry = self._entries.get(turn)
        if talk is self.talk and entry is not None and entry.runs:
            entry.append(text)
            self._dirty.set()

    def noted(self, talk: Talk, text: str) -> None:
        """Something has to be said."""
        self.aiplat.tell(text, severity="warning")

    # -- drawing ---------------------------------------------------------------------------------

    @work(group="drawing")
    async def _drawing(self) -> None:
        """Draw what came, not more often than it can be drawn; and the seconds that pass."""
        loop = asyncio.get_running_loop()
        while True:
            pause = 1.0 if self.talk.running else None
            try:
                async with asyncio.timeout(pause):
                    await self._dirty.wait()
            except TimeoutError:
                pass
            self._dirty.clear()
            began = loop.time()
            self._draw_running()
            await asyncio.sleep(max(GATHER_SECONDS, 3 * (loop.time() - began)))

    def _draw_running(self) -> None:
        for turn_id in self.talk.running:
            entry = self._entries.get(turn_id)
            if entry is not None:
                entry.say(self.talk.live_line(entry.turn))
                self.transcript.changed(entry)

    def draw_all(self, *, keep_place: bool = False) -> None:
        """Draw the conversation that is seen."""
        if not self._can_draw:
            return
        status = self.world.status
        own = status.peer_id if status is not None else ""
        self._entries = entries_of(self.book, self._entries, own)
        self.set_class(not self._entries, "-empty")
        self.transcript.show(list(self._entries.values()), keep_place=keep_place)
        self._draw_head()
        self.draw_files()
        self._draw_empty()
        self._draw_rail()
        self.draw_list()
        self._dirty.set()
        self.refresh_bindings()

    def _draw_head(self) -> None:
        head = self.query_one("#head", Static)
        head.update(head_line(self.talk, head.size.width or self.app.size.width - 36))

    def draw_files(self) -> None:
        """Show what goes with the next question."""
        text = files_line(self.talk.files, edits=self._editing is not None,
                          detach=self.aiplat.key_of("chat.detach"))  # fmt: skip
        line = self.query_one("#files", Static)
        line.set_class(bool(text), "-shown")
        line.update(Content(text))
        self.refresh_bindings()

    def _draw_rail(self) -> None:
        running = sum(len(talk.running) for talk in self.book.open.values())
        self.query_one(Rail).show(self.world.status, self.answers.speeds, running)

    def _draw_empty(self) -> None:
        if self.talk.is_empty:
            self.query_one("#empty", Static).update(empty_words(self.world, self.aiplat.key_of))

    def draw_list(self) -> None:
        """Draw the conversations."""
        if self._can_draw:
            sidebar = self.query_one(Sidebar)
            sidebar.show(
                self.book.items(sidebar.words), self.talk.conversation.id,
                trouble=self._trouble or self.book.note, more=self.book.more,
            )  # fmt: skip

    def tell(self, text: str, *, severity: str = "information") -> None:
        """Say something."""
        self.aiplat.tell(text, severity=severity)

    # -- asking ----------------------------------------------------------------------------------

    @on(Composer.Submitted)
    def _on_submitted(self, event: Composer.Submitted) -> None:
        event.stop()
        talk = self.talk
        try:
            if self._editing is not None:
                question = talk.edited(self._editing, event.text, talk.files)
            else:
                question = talk.question(event.text, talk.files)
        except InvalidRequest as fault:
            self.aiplat.tell(str(fault), severity="warning")
            return
        draft = talk.draft if self._editing is not None else ""
        self._editing, talk.files, talk.draft = None, (), ""
        typed = self.composer.text  # more than was sent, where keys come fast
        self.write(draft + (typed.removeprefix(event.text) if typed != event.text else ""))
        self._begin(talk, question)

    def _begin(self, talk: Talk, question: Turn) -> None:
        if not self.world.is_attached:
            self.world.start_now()
        self.answers.begin(talk, question)
        self.transcript.action_scroll_end()

    @on(Composer.TooLong)
    def _on_too_long(self) -> None:
        self.aiplat.tell("That is more than a question may have; attach a file of at most 1 MB.",
                         severity="warning")  # fmt: skip

    @on(Composer.Leafed)
    def _on_leafed(self, event: Composer.Leafed) -> None:
        transcript = self.transcript
        match event.pages:
            case 1:
                transcript.action_page_down()
            case -1:
                transcript.action_page_up()
            case 2:
                transcript.action_scroll_end()
            case _:
                transcript.scroll_home(animate=False)

    # -- actions ---------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what makes sense now."""
        if not self.is_mounted or not hasattr(self, "book"):
            return True
        match action:
            case "stop":
                return bool(self.talk.running) or self._editing is not None or self._list_covers
            case "detach":
                return bool(self.talk.files)
            case "again" | "copy_code" | "export" | "rename" | "delete" | "to_blocks" | "why":
                return not self.talk.is_empty
        return True

    @property
    def _list_covers(self) -> bool:
        return self.has_class("-list") and self.app.size.width < 100

    def action_stop(self) -> None:
        """Stop the newest answer, and keep what came; or stop editing."""
        if self._list_covers:
            self.action_list()
        elif self._editing is not None:
            self._editing = None
            self.write(self.talk.draft)
            self.draw_files()
            self.refresh_bindings()
        else:
            self.answers.stop(self.talk)

    async def action_new(self) -> None:
        """Begin a conversation, with the model, gateway and readers of this one."""
        self._remember_draft()
        self.book.new(asked_as(self.talk.conversation.settings))
        self.turned()

    @work
    async def action_pick(self) -> None:
        """Choose model, gateway, and who can read."""
        await deeds.pick(self)

    @work
    async def action_settings(self) -> None:
        """Set system prompt and sampling of this conversation."""
        await deeds.set_up(self)

    def action_list(self) -> None:
        """Show the conversations, and go there; or hide them.

        On a narrow screen they take the chat's place (``-list``), on others they stand beside it
        (``-shown``), so that neither changes with the size of the screen.
        """
        sidebar = self.query_one(Sidebar)
        narrow = self.app.size.width < 100
        shown = self.has_class("-list") if narrow else sidebar.has_class("-shown")
        if shown and not narrow and not sidebar.has_focus_within:
            sidebar.focus_list()
            return
        if narrow:
            self.set_class(not shown, "-list")
        else:
            sidebar.set_class(not shown, "-shown")
        if shown:
            self.composer.focus()
        else:
            self.draw_list()
            sidebar.focus_list()

    def action_to_blocks(self) -> None:
        """Go up into the transcript."""
        self.transcript.focus()

    def action_again(self) -> None:
        """Answer the last question again: a branch beside the last answer."""
        path = self.talk.path
        last = path[-1] if path else None
        if last is not None:
            self._again(last)

    def _again(self, turn: Turn) -> None:
        question = turn if turn.role == "user" else self.talk.find(turn.parent)
        if question is None or turn.id in self.talk.running:
            self.aiplat.tell("The answer is still under way: Esc stops it.", severity="warning")
            return
        self._begin(self.talk, question)

    def action_copy_code(self) -> None:
        """Copy the last block of code."""
        for entry in reversed(self.transcript.entries):
            entry.lines(self.transcript.text_width)
            codes = [stop.code for stop in entry.stops if stop.code is not None]
            if codes:
                self.app.copy_to_clipboard(codes[-1])
                return
        self.aiplat.tell("No answer here has a block of code.", severity="warning")

    @work
    async def action_attach(self) -> None:
        """Attach a text file to the next question."""
        await deeds.attach(self)

    def action_detach(self) -> None:
        """Attach nothing."""
        self.talk.files = ()
        self.draw_files()

    @work
    async def action_editor(self) -> None:
        """Write the prompt in the person's own editor."""
        await deeds.write_in_editor(self)

    @work
    async def action_keep(self) -> None:
        """Keep this conversation, or keep it no more."""
        await deeds.keep(self)

    def action_rename(self) -> None:
        """Call this conversation otherwise."""
        self._rename(self.talk.conversation.id)

    def action_export(self) -> None:
        """Write this conversation to a file."""
        self._export(self.talk.conversation.id)

    def action_delete(self) -> None:
        """Delete this conversation."""
        self._delete(self.talk.conversation.id)

    def action_why(self) -> None:
        """Say why the last answer came from where it did."""
        for turn in reversed(self.talk.path):
            if turn.facts is not None and turn.facts.request:
                self._why(turn)
                return
        self.aiplat.tell("Nothing was answered here yet.", severity="warning")

    # -- what is done with a conversation of the list ----------------------------------------------

    @on(Sidebar.Searched)
    def _on_searched(self) -> None:
        self.reload()

    @on(Sidebar.Opened)
    def _on_opened(self, event: Sidebar.Opened) -> None:
        event.stop()
        self._open(event.conversation)

    @work(exclusive=True, group="open")
    async def _open(self, conversation: str) -> None:
        talk = await self.held(conversation)
        if talk is not None:
            self._remember_draft()  # of the one that was seen until now
            self.book.current = talk
            self.turned()

    def write(self, text: str) -> None:
        """Put a text where one writes, and go there."""
        self.composer.load_text(text)
        self.composer.move_cursor(self.composer.document.end)
        self.composer.focus()

    def _remember_draft(self) -> None:
        if self._editing is None:
            self.talk.draft = self.composer.text
        self._editing = None

    def turned(self) -> None:
        """Another conversation is seen."""
        self.remove_class("-list")
        self._entries = {}
        self.draw_all()
        self.write(self.talk.draft)

    @on(Sidebar.Left)
    def _on_left_list(self) -> None:
        if self.app.size.width < 100:
            self.action_list()
        self.composer.focus()

    @on(Sidebar.Wanted)
    def _on_wanted_of_list(self, event: Sidebar.Wanted) -> None:
        event.stop()
        match event.what:
            case "delete":
                self._delete(event.conversation)
            case "rename":
                self._rename(event.conversation)
            case "export":
                self._export(event.conversation)

    async def held(self, conversation: str) -> Talk | None:
        """That conversation, whether it is open or not; what is seen stays."""
        try:
            talk, running = await self.book.fetch(conversation)
        except AiplatError as fault:
            self.aiplat.tell_fault(fault)
            return None
        for turn in running:
            self.answers.follow(talk, turn)
        return talk

    @work
    async def _rename(self, conversation: str) -> None:
        await deeds.rename(self, conversation)

    @work
    async def _export(self, conversation: str) -> None:
        await deeds.export(self, conversation)

    @work
    async def _delete(self, conversation: str) -> None:
        await deeds.delete(self, conversation)

    # -- what is done with a block of the transcript -----------------------------------------------

    @on(Transcript.Left)
    def _on_left_transcript(self) -> None:
        self.composer.focus()

    @on(Transcript.Wanted)
    def _on_wanted(self, event: Transcript.Wanted) -> None:
        event.stop()
        turn = event.entry.turn
        match event.what:
            case "copy":
                code = event.block.code
                self.app.copy_to_clipboard(code if code is not None else self._whole(event.entry))
            case "edit":
                self._edit(turn)
            case "again":
                self._again(turn)
            case "branch" | "branch_back":
                if self.talk.branch(turn, -1 if event.what == "branch_back" else 1):
                    self._save_branch()
            case "why":
                self._why(turn)

    def _whole(self, entry: Entry) -> str:
        turn = self.talk.find(entry.turn.id)
        return harmless(self.talk.text_of(turn) if turn is not None else entry.turn.text)

    @work(exclusive=True, group="branch")
    async def _save_branch(self) -> None:
        await deeds.save(self)

    def _edit(self, turn: Turn) -> None:
        if self._editing is None:
            self.talk.draft = self.composer.text
        self._editing = turn
        self.write(turn.text)
        self.draw_files()

    @work
    async def _why(self, turn: Turn) -> None:
        await deeds.why(self, turn)
