"""Pulling from a hub over real HTTP, in the real subprocess: whole, resumed, refused, explained."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aiplat.domain.errors import AiplatError, ConfigError, ModelNotFound, NotReady, PermissionDenied
from aiplat.engine import store
from aiplat.engine.folders import digest
from aiplat.engine.hub_pull import partial_folder
from aiplat.engine.pull import pull
from aiplat.engine.removing import remove
from aiplat.engine.stages import Progress
from tests.support.hub import Hub, running_hub
from tests.support.tiny_model import make_tiny_model

pytest.importorskip("huggingface_hub")

TOKEN = "hf_secretsecretsecret"
QUIET: Progress = lambda stage, done, total: None  # noqa: E731  # a name for nothing
TINY = "org/tiny"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("hub") / "tiny")


@pytest.fixture
def hub(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with running_hub({TINY: source}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def folder_of(cache: Path, name: str = TINY) -> Path:
    return store.place(name, cache)[1]


def left(cache: Path) -> list[str]:
    names = (entry.name for entry in store.models_folder(cache).iterdir())
    return sorted(name for name in names if not name.endswith((".lock", ".use")))


def test_whole_verified_and_removed(
    hub: Hub, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    (source / "training.py").write_text("code")
    stages: list[tuple[str, int, int]] = []
    folder = pull(TINY, tmp_path, lambda *stage: stages.append(stage))
    size = sum(file["size"] for file in hub.files(TINY)) - len("code")
    assert ("download", size, size) in stages
    assert folder == folder_of(tmp_path)
    assert not (folder / "training.py").exists()
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert left(tmp_path) == ["org--tiny"]
    (stored,) = store.pulled(tmp_path)
    assert stored.name == TINY
    assert stored.weights == digest(source / "model.safetensors")
    assert stored.source == f"hub:{TINY}@{hub.commit}"
    assert store.locate(TINY, tmp_path) == (TINY, folder)
    asked = len(hub.asked)
    assert pull(TINY, tmp_path, QUIET) == folder
    assert len(hub.asked) == asked  # the second time needs no hub
    assert remove(TINY, tmp_path) >= stored.bytes
    assert left(tmp_path) == []
    with pytest.raises(ModelNotFound, match="on this machine"):
        remove(TINY, tmp_path)


def test_an_interrupted_one_is_gone_on_with(
    hub: Hub, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "600")  # it does not give up by itself
    weights = source / "model.safetensors"
    partial = partial_folder(folder_of(tmp_path))
    part = partial / "model.safetensors.part"
    hub.stalls.add("model.safetensors")
    with subprocess.Popen([sys.executable, "-c", PULLS, str(tmp_path)]) as child:
        try:
            until(part.is_file)
            until(lambda: any(path.endswith(weights.name) for _, path, _ in hub.asked))
            fetching = [int(pid) for pid in children(child.pid)]
        finally:
            child.send_signal(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in fetching))  # it ends with who wanted the files
    assert fetching
    assert store.pulled(tmp_path) == []
    part.write_bytes(weights.read_bytes()[:1000])  # what a larger one leaves
    hub.go_on.set()
    hub.asked.clear()
    folder = pull(TINY, tmp_path, QUIET)
    assert folder is not None
    assert digest(folder / "model.safetensors") == digest(weights)
    ranges = [how for _, path, how in hub.asked if path.endswith("model.safetensors")]
    assert ranges == ["bytes=1000-"]
    assert not [path for _, path, _ in hub.asked if path.endswith("tokenizer.json")]
    assert left(tmp_path) == ["org--tiny"]


def children(pid: int) -> list[str]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [child for task in tasks for child in task.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # what it looks at is in another process
        assert time.monotonic() < deadline
        time.sleep(0.01)


PULLS = """
import sys
from pathlib import Path
from aiplat.engine.pull import pull
pull("org/tiny", Path(sys.argv[1]), lambda *_: None)
"""


@pytest.mark.slow
def test_what_is_refused_and_in_which_words(
    hub: Hub, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "pytorch_model.bin").write_bytes(b"\x80\x04")
    other = make_tiny_model(tmp_path / "bert")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(
        json.dumps({**config, "architectures": ["BertForQuestionAnswering"]})
    )
    odd = make_tiny_model(tmp_path / "odd")
    (odd / "config.json").write_text(json.dumps({**config, "vocab_size": "many"}))
    hub.repos |= {"org/pickled": pickled, "org/bert": other, "org/odd": odd}
    hub.statuses["org/gated"] = (403, {"X-Error-Code": "GatedRepo"})
    hub.statuses["org/many"] = (429, {"Retry-After": "77"})

    cases: list[tuple[str, type[AiplatError], str]] = [
        ("org/pickled", ConfigError, r"only as pytorch_model\.bin, which can run code"),
        ("org/bert", ConfigError, "is a BertForQuestionAnswering, and no model"),
        ("org/odd", ConfigError, "org/odd/config.json has vocab_size many, where a number"),
        ("org/gated", PermissionDenied, "is gated, and the token in use has no access"),
        ("org/tinny", ModelNotFound, r"no model org/tinny on http.*Did you mean .*org/tiny"),
        ("org/tiny@v9", ModelNotFound, "has no revision 'v9'"),
        ("org/many", NotReady, "try again in 77 s"),
    ]
    for case, kind, words in cases:
        with pytest.raises(kind, match=words) as refused:
            pull(case, cache, QUIET)
        assert TOKEN not in str(refused.value)
        assert "\n" not in str(refused.value)
    assert not [path for _, path, _ in hub.asked if path.endswith((".bin", ".safetensors"))]
    assert store.pulled(cache) == []

    hub.wrong.add("model.safetensors")
    with pytest.raises(NotReady, match="is not what the hub says of it"):
        pull(TINY, cache, QUIET)
    assert store.pulled(cache) == []


def test_without_a_network(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotReady, match="HF_HUB_OFFLINE is set, and org/tiny is not in"):
        pull(TINY, tmp_path, QUIET)
    assert hub.asked == []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NotReady, match=r"127\.0\.0\.1:9 is not reached: check the network"):
        pull(TINY, tmp_path, QUIET)
    assert left(tmp_path) == []
