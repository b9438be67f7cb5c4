"""The keys of the pane Chat, and what F1 says of it."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding, BindingType

HELP: Final = (
    "Type, and Enter sends. Answers stream in; Esc stops one, and keeps what came.\n"
    "Alt+↑ goes up into the transcript, block by block: c copies a block or the code under the "
    "cursor, e edits a question, r answers it again, ←/→ walk the branches, w says why that "
    "peer answered.\n"
    "The line below an answer: model, peer, time to the first token, tokens a second, tokens "
    "in and out, seconds, how it ended. ✓ done, ■ stopped, ✕ failed, ▲ cut at the length.\n"
    "In the list: ◉ an answer is under way, ○ not kept.\n"
    "To select with the mouse drag over the text, and Ctrl+C copies it."
)

BINDINGS: Final[list[BindingType]] = [
    Binding("escape", "stop", "Stop", id="chat.stop"),
    Binding("ctrl+n", "new", "New", id="chat.new"),
    Binding("ctrl+o", "pick", "Model, peer", id="chat.pick"),
    Binding("ctrl+b", "list", "Conversations", id="chat.list"),
    Binding("alt+up", "to_blocks", "Blocks", id="chat.blocks"),
    Binding("ctrl+r", "again", "Again", show=False, id="chat.again"),
    Binding("alt+c", "copy_code", "Copy the last code", show=False, id="chat.copy_code"),
    Binding("alt+s", "settings", "System prompt, sampling", show=False, id="chat.settings"),
    Binding("alt+a", "attach", "Attach a file", show=False, id="chat.attach"),
    Binding("alt+d", "detach", "Remove the attached files", show=False, id="chat.detach"),
    Binding("ctrl+g", "editor", "Write in your editor", show=False, id="chat.editor"),
    Binding("alt+k", "keep", "Keep it, or not", show=False, id="chat.keep"),
    Binding("alt+r", "rename", "Rename", show=False, id="chat.rename"),
    Binding("alt+x", "export", "Export", show=False, id="chat.export"),
    Binding("alt+w", "why", "Why this peer?", show=False, id="chat.why"),
    Binding("alt+e", "delete", "Delete", show=False, id="chat.delete"),
]
