"""``aiplat doctor``: how its steps are shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiplat.cli import doctor, main, output
from aiplat.runtime.steps import Step
from tests.support.fake_home import node_at
from tests.support.fake_node import PEER, FakeNode

Capture = pytest.CaptureFixture[str]
BROKEN = Step(
    name="dial", ok=False, text="nobody\x1b[2J answered " * 5, advice="Run `aiplat status` " * 5
)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_step_is_broken_beside_its_label(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(output, "width", lambda stream: columns)
    doctor._say(BROKEN)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[0].startswith("FAIL  dial        nobody·[2J")
    assert all(line.startswith(" " * 18) for line in lines[1:])


def test_a_pipe_gets_a_line_each(capsys: Capture) -> None:
    doctor._say(BROKEN)
    doctor._say(Step(name="model", ok=True, text="ready: echo", advice=""))
    text, advice, well = capsys.readouterr().out.splitlines()
    assert text.startswith("FAIL  dial        nobody")
    assert advice.strip().startswith("Run `aiplat status`")
    assert well == "ok    model       ready: echo"


@pytest.mark.parametrize("words", [["doctor"], ["doctor", "--json"]])
def test_it_asks_the_node_that_runs_and_its_exit_code_says_how_it_is(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("AIPLAT_HOME", str(tmp_path / "h"))
    with node_at(tmp_path / "h", FakeNode()) as node:
        assert main.run(words) == 0
        said = capsys.readouterr().out
        node.offered = ()
        assert main.run(words) == 1
        ill = capsys.readouterr().out
    names = ["identity", "network", "node", "addresses", "dial", "gateway", "model"]
    if "--json" in words:
        assert [step["name"] for step in json.loads(said)["steps"]] == names
        assert json.loads(said)["ok"] is True
        assert json.loads(ill)["ok"] is False
    else:
        assert [line.split()[1] for line in said.splitlines()] == names
        assert PEER not in said.split("addresses")[1]
        assert "FAIL  model" in ill
