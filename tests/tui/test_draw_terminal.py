"""scripts/draw-terminal: a picture is drawn, and docs/terminal.md shows all there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PICTURE = re.compile(r"!\[(.+)\]\(terminal/([a-z-]+)\.svg\)")


def drawn() -> set[str]:
    """The pictures that are there."""
    return {file.stem for file in (ROOT / "docs" / "terminal").glob("*.svg")}


def draw(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "draw-terminal"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
def test_one_picture_is_drawn_into_a_folder(tmp_path: Path) -> None:
    done = draw("--to", str(tmp_path / "new"), "logs")
    assert done.returncode == 0, done.stderr
    file = tmp_path / "new" / "logs.svg"
    assert done.stdout == f"{file}\n"
    assert list(file.parent.iterdir()) == [file]
    text = "".join(ElementTree.parse(file).getroot().itertext()).replace("\xa0", " ")
    assert "A peer connected" in text
    assert "@font-face" not in text  # nothing is fetched from elsewhere


@pytest.mark.slow
def test_a_picture_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = draw("--to", str(tmp_path), "lgos")
    assert done.returncode == 1 and not list(tmp_path.iterdir())
    told = re.fullmatch(r"There is no picture 'lgos'; there are (.+)\.\n", done.stderr)
    assert told is not None, done.stderr
    assert set(told[1].split(", ")) == drawn()


def test_the_document_shows_every_picture_with_its_text() -> None:
    shown = PICTURE.findall((ROOT / "docs" / "terminal.md").read_text(encoding="utf-8"))
    assert sorted(name for _, name in shown) == sorted(drawn())
    assert all(len(text.split()) > 2 for text, _ in shown)
