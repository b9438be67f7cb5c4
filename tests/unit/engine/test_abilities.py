"""What a folder tells of a model that is not loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiplat.engine.abilities import expected
from aiplat.engine.uses import forget, note_use, used
from tests.support.tool_model import TEMPLATE

pytest.importorskip("llguidance")


def test_tools_are_seen_in_the_template(tmp_path: Path) -> None:
    assert expected(tmp_path) == ("generate", "grammar")
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"chat_template": TEMPLATE}))
    assert expected(tmp_path) == ("generate", "tools", "grammar")
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")  # it counts before
    assert expected(tmp_path) == ("generate", "grammar")
    (tmp_path / "chat_template.jinja").write_text("{{ tools }} in no form that is known")
    assert expected(tmp_path) == ("generate", "grammar")


def test_a_broken_folder_is_its_loads_affair(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{")
    assert expected(tmp_path) == ("generate", "grammar")


def test_what_it_did_is_remembered(tmp_path: Path) -> None:
    note_use(tmp_path / "m", tmp_path, load_seconds=2.0, can=("generate", "tools"))
    note_use(tmp_path / "m", tmp_path)
    assert used(tmp_path / "m", tmp_path).can == ("generate", "tools")
    assert used(tmp_path / "m", tmp_path).load_seconds == 2.0
    forget(tmp_path / "m", tmp_path)
    assert used(tmp_path / "m", tmp_path).can == ()
