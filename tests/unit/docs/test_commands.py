"""Every command is documented, and every command that the documents show exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from aiplat.cli import describe
from aiplat.cli.app import app

ROOT = Path(__file__).parents[3]
DOCUMENTS = (
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "deploy" / "README.md",
    *sorted((ROOT / "deploy").rglob("*.service")), *sorted((ROOT / "deploy").rglob("*file")),
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "commands.md"),
)  # fmt: skip
FENCED = re.compile(r"```(?:sh|bash|console|text)?\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`(aiplat [^`]+)`")
CALL = re.compile(
    r"(?:^|[|;&(]\s*|\$\(|do |nohup |-u aiplat (?:\S+=\S+ )*|exec (?:-it )?aiplat |/bin/)"
    r"(?:\./scripts/run|aiplat) ([^|;&)#\n]*)",
    re.MULTILINE,
)
PLACEHOLDER = re.compile(r"^[A-Z][A-Z_]+$|^…$")


def tree() -> Any:
    return typer.main.get_command(app)


def shown(path: Path) -> Iterator[str]:
    """The words behind each ``aiplat`` that a document shows."""
    text = path.read_text()
    if path.suffix != ".md":
        yield from re.findall(r"aiplat (serve[^\n\"]*)", text)
        return
    for block in FENCED.findall(text):
        block = block.replace("\\\n", " ")
        yield from (call.strip() for call in CALL.findall(block))
    for inline in INLINE.findall(text):
        yield inline.removeprefix("aiplat ")


def wrong(words: str) -> str:
    """What of a shown command does not exist; empty when all does."""
    try:
        parts = shlex.split(words, comments=True)
    except ValueError:
        parts = words.split()  # a quotation that the pattern cut
    command, name = tree(), "aiplat"
    while parts and parts[0].startswith("--home"):
        parts = parts[2:]
    if parts and parts[0].startswith("-"):
        return ""  # options of the whole: --version, --install-completion
    while hasattr(command, "commands") and parts and not PLACEHOLDER.match(parts[0]):
        word = parts.pop(0).strip("[]")
        if "|" in word:
            missing = [one for one in word.split("|") if one not in command.commands]
            return f"{name} {missing}" if missing else ""
        if word not in command.commands:
            return f"{name} {word}"
        command, name = command.commands[word], f"{name} {word}"
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    known |= {"--help", "--home", "--json"}
    for part in parts:
        option = part.strip("[]").partition("=")[0]
        if option.startswith("--") and option != "--" and option not in known:
            return f"{name} {option}"
    return ""


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_is_shown_exists(path: Path) -> None:
    assert [found for words in shown(path) if (found := wrong(words))] == []


def test_the_test_sees_a_command_that_does_not_exist() -> None:
    assert wrong("keys make --name x") == "aiplat keys make"
    assert wrong("ask --loud hello") == "aiplat ask --loud"
    assert wrong('ask --json "Say --loud"') == ""
    assert sum(len(list(shown(path))) for path in DOCUMENTS) > 100


def test_every_command_is_documented() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    assert page == describe.document(), (
        "run: .venv/bin/python -m aiplat.cli.describe > docs/commands.md"
    )
