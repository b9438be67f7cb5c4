"""What the fetching process says and leaves when it fails, without a hub."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from aiplat.engine import hub_fetch
from aiplat.engine.hub_fetch import FAILED, NO_ROOM, Plan, _run
from aiplat.engine.hub_pull import environment

pytest.importorskip("huggingface_hub")


@pytest.mark.parametrize(
    ("error", "status", "words", "stays"),
    [
        (OSError(errno.ENOSPC, "No space left"), NO_ROOM, "The disk was full before o/n", False),
        (TimeoutError(), FAILED, "is not reached|does not answer in time", True),
        (ValueError("Expecting value"), FAILED, "is no model hub", True),
        (RuntimeError("odd: hf_abc"), FAILED, r"could not be fetched .*odd: …\)", True),
    ],
)
def test_what_is_said_and_left(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    words: str,
    stays: bool,
) -> None:
    def fails(plan: Plan) -> None:
        raise error

    monkeypatch.setenv("HF_TOKEN", "hf_abc")
    monkeypatch.setattr(hub_fetch, "fetch", fails)
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "model.safetensors.part").touch()
    assert _run(Plan(repo="o/n", folder=str(folder))) == status
    said = capsys.readouterr().out
    assert said.startswith("ERROR: ")
    assert said.count("\n") == 1
    assert re.search(words, said)
    assert "hf_abc" not in said
    assert folder.exists() == stays


def test_its_environment_holds_the_hubs_token_and_no_other() -> None:
    given = {
        "PATH": "/bin", "HF_TOKEN": "t", "HF_ENDPOINT": "e", "https_proxy": "p",
        "AIPLAT_API_KEY": "k", "AWS_SECRET_ACCESS_KEY": "s",
    }  # fmt: skip
    kept = environment(given)
    assert {"PATH", "HF_TOKEN", "HF_ENDPOINT", "https_proxy"} <= kept.keys()
    assert not {"AIPLAT_API_KEY", "AWS_SECRET_ACCESS_KEY"} & kept.keys()
