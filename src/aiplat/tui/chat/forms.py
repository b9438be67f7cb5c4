"""The forms of a conversation: how it asks, what it is called, where it is written to."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec.structs import replace

from aiplat.domain.chat import check_sampling
from aiplat.domain.conversations import MAX_TITLE_CHARS, Conversation, ConversationSettings
from aiplat.domain.errors import InvalidRequest
from aiplat.domain.transcript import as_json, as_markdown
from aiplat.tui.dialogs import Field, Form

MAX_SYSTEM_CHARS = 100_000


def settings_form(settings: ConversationSettings) -> Form:
    """Ask for system prompt and sampling."""
    return Form(
        "This conversation",
        [
            Field("system", "System prompt", settings.system, "what the model is told first"),
            Field("temperature", "Temperature (0 to 2)", _shown(settings.temperature),
                  "the model's own"),
            Field("top_p", "Top p (0 to 1)", _shown(settings.top_p), "the model's own"),
            Field("max_tokens", "Most tokens of an answer", _shown(settings.max_tokens),
                  "as many as there is room for"),
        ],
        text="It holds from the next answer on. An empty field leaves it to the model.",
        done="Take it",
        check=lambda values: settings_from(settings, values),
    )  # fmt: skip


def settings_from(settings: ConversationSettings, values: dict[str, str]) -> ConversationSettings:
    """Read what was filled in.

    Raises:
        InvalidRequest: something cannot be.
    """
    if len(values["system"]) > MAX_SYSTEM_CHARS:
        raise InvalidRequest(
            f"A system prompt has at most {MAX_SYSTEM_CHARS} characters, this one "
            f"{len(values['system'])}."
        )
    tokens = _number("Most tokens", values["max_tokens"])
    if tokens is not None and tokens != int(tokens):
        raise InvalidRequest(f"Most tokens must be a whole number, but is {values['max_tokens']}.")
    changed = replace(
        settings, system=values["system"],
        temperature=_number("Temperature", values["temperature"]),
        top_p=_number("Top p", values["top_p"]),
        max_tokens=None if tokens is None else int(tokens),
    )  # fmt: skip
    check_sampling(changed.sampling)
    return changed


def _number(name: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        raise InvalidRequest(f"{name} must be a number, but is {text[:40]!r}.") from None


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def title_form(title: str) -> Form:
    """Ask for another title."""

    def check(values: dict[str, str]) -> None:
        if not values["title"]:
            raise InvalidRequest("Type a title.")
        if len(values["title"]) > MAX_TITLE_CHARS:
            raise InvalidRequest(
                f"A title has at most {MAX_TITLE_CHARS} characters, this one "
                f"{len(values['title'])}."
            )

    return Form("Rename", [Field("title", "Title", title)], done="Rename", check=check)


def export_form(title: str) -> Form:
    """Ask where to write a conversation, and as what."""
    name = "".join(c if c.isalnum() else "-" for c in title.lower())[:40].strip("-") or "chat"
    return Form(
        "Export",
        [
            Field("form", "As", choices=(
                ("markdown", "Markdown: what is seen"), ("json", "JSON: all branches"),
            )),
            Field("path", "File", name, "its ending is added"),
        ],
        text="A file that is there already is never overwritten.",
        done="Write it",
    )  # fmt: skip


def write_export(conversation: Conversation, form: str, path: str) -> Path:
    """Write a conversation to a new file that the owner alone can read; blocks.

    Raises:
        InvalidRequest: the file is there, or cannot be written.
    """
    ending = ".md" if form == "markdown" else ".json"
    if not path.strip():
        raise InvalidRequest("Type the name of a file.", param="path")
    file = Path(path.strip()).expanduser().absolute()
    if file.suffix != ending:
        file = file.with_name(file.name + ending)
    text = as_markdown(conversation) if form == "markdown" else as_json(conversation)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidRequest(
            f"{file} is there already: choose another name.", param="path"
        ) from None
    except OSError as error:
        raise InvalidRequest(
            f"{file} cannot be written: {error.strerror or error}.", param="path"
        ) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as target:
            target.write(text)
    except OSError as error:
        file.unlink(missing_ok=True)
        raise InvalidRequest(
            f"{file} cannot be written: {error.strerror or error}.", param="path"
        ) from None
    return file
