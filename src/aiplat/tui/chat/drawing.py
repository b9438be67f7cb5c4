"""What the pane draws of a conversation: its turns as entries, and the lines around them."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace
from textual.content import Content

from aiplat.domain.conversations import AttachedFile, Turn, places_of
from aiplat.tui.chat.book import Book
from aiplat.tui.chat.entry import Entry, Place
from aiplat.tui.chat.talk import Talk
from aiplat.tui.text import cut, flat, short_peer

_READERS = {"any": "anyone may read", "network": "my network reads", "machine": "this machine only"}


def entries_of(book: Book, old: Mapping[str, Entry], own: str) -> dict[str, Entry]:
    """The turns that are shown, by their ids; what was drawn before keeps its lines.

    Arguments:
        book: with the conversation that is seen.
        old: the entries of before.
        own: this node's peer id.
    """
    talk = book.current
    places = places_of(talk.conversation)
    found: dict[str, Entry] = {}
    for turn in talk.path:
        place = Place(*places[turn.id])
        found[turn.id] = _kept(talk, turn, old.get(turn.id), place, own) or _made(
            book, talk, turn, place, own
        )
    return found


def _kept(talk: Talk, turn: Turn, old: Entry | None, place: Place, own: str) -> Entry | None:
    """The entry of before, where nothing of it is otherwise."""
    if old is None or old.place != place or old.own != own:
        return None
    if old.turn is turn:
        return old
    if old.runs and turn.id in talk.running:  # its text came by itself
        old.take(turn)
        return old
    return None


def _made(book: Book, talk: Talk, turn: Turn, place: Place, own: str) -> Entry:
    runs = turn.id in talk.running
    shown = replace(turn, text=talk.text_of(turn)) if runs else turn
    entry = Entry(shown, own, place, book.when(turn.at), talk.conversation.settings.model)
    if runs:
        entry.say(talk.live_line(turn))
    return entry


def head_line(talk: Talk, cells: int) -> Content:
    """The conversation in one line: its title, and how it is asked."""
    settings = talk.conversation.settings
    parts = [settings.model or "automatic"]
    if settings.peer:
        parts.append("by " + short_peer(settings.peer))
    parts.append(_READERS[settings.privacy])
    if not talk.kept:
        parts.append("○ not kept")
    if settings.system:
        parts.append("system prompt")
    facts = " · ".join(map(flat, parts))
    title = cut(flat(talk.title), max(10, cells - len(facts) - 4))
    return Content.assemble((title, "bold $foreground"), "  ", (facts, "$text-muted"))


def files_line(files: tuple[AttachedFile, ...], *, edits: bool, detach: str) -> str:
    """What goes with the next question; empty where nothing does.

    Arguments:
        detach: the key that takes the files away again, as it is shown.
    """
    names = ", ".join(flat(file.name) for file in files)
    text = f"+ {names}  ({detach} removes)" if names else ""
    if edits:
        return f"Editing a question: Enter asks it anew, Esc leaves it as it was.  {text}".rstrip()
    return text
