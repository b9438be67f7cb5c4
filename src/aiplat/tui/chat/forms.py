"""The forms of a conversation: how it asks, what it is called, where it is written to."""

from __future__ import annotations

import math
from pathlib import Path

from msgspec.structs import replace

from aiplat.domain.chat import check_sampling
from aiplat.domain.conversations import MAX_TITLE_CHARS, Conversation, ConversationSettings
from aiplat.domain.errors import InvalidRequest
from aiplat.domain.transcript import as_json, as_markdown
from aiplat.tui.dialogs import Field, Form
from aiplat.tui.paths import typed_path, write_new

MAX_SYSTEM_CHARS = 100_000
_PROMPT_LINES = 4


def settings_form(settings: ConversationSettings) -> Form:
    """Ask for system prompt and sampling."""
    return Form(
        "This conversation",
        [
            Field("system", "System prompt", settings.system, "what the model is told first",
                  lines=_PROMPT_LINES),
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
    changed = replace(
        settings, system=values["system"],
        temperature=_number("Temperature", values["temperature"]),
        top_p=_number("Top p", values["top_p"]),
        max_tokens=_whole("Most tokens", values["max_tokens"]),
    )  # fmt: skip
    check_sampling(changed.sampling)
    return changed


def _number(name: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        number = float(text.strip().replace(",", "."))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidRequest(f"{name} must be a number, but is {text[:40]!r}.")
    return number


def _whole(name: str, text: str) -> int | None:
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError:
        raise InvalidRequest(f"{name} must be a whole number, but is {text[:40]!r}.") from None


def _shown(value: float | None) -> str:
    return "" if value is None else str(value).removesuffix(".0")


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
    file = typed_path(path)
    if file.suffix != ending:
        file = file.parent / (file.name + ending)
    text = as_markdown(conversation) if form == "markdown" else as_json(conversation)
    write_new(file, text)
    return file
