"""Pulls a model of the Hugging Face hub: fetch, verify, convert if it is a GGUF, once. Blocking.

A subprocess fetches (`engine.hub_fetch`), so that a cancel works and no library of the hub's is
loaded here. It fills a folder beside the final one, under the model's lock; a rename ends the
pull. What an interrupted one left is gone on with.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from aiplat.domain.errors import (
    AiplatError,
    ConfigError,
    ModelNotFound,
    NotReady,
    PermissionDenied,
)
from aiplat.engine import hub_fetch, store
from aiplat.engine.converting import convert_gguf
from aiplat.engine.folders import check_folder, digest, digest_of, facts_of
from aiplat.engine.hub_fetch import LISTING, Listing, Plan
from aiplat.engine.hub_names import HubName, parse
from aiplat.engine.stages import Progress
from aiplat.engine.subprocesses import run_counted

log = logging.getLogger("aiplat.engine.pull")

_SILENCE_SECONDS = 120.0
_KEPT = (
    "PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT",
    "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "XDG_CACHE_HOME",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)  # fmt: skip
_KEPT_BEGINNINGS = ("LC_", "COVERAGE_", "HF_", "HUGGINGFACE_", "HUGGING_FACE_")
_ERRORS: dict[int, type[AiplatError]] = {
    hub_fetch.NOT_FOUND: ModelNotFound,
    hub_fetch.NOT_ALLOWED: PermissionDenied,
    hub_fetch.NO_ROOM: ConfigError,
    hub_fetch.REFUSED: ConfigError,
}


def make(name: str, target: Path, progress: Progress) -> None:
    """Fetch `name` into the folder `target`. The caller holds the model's lock.

    Raises:
        ModelNotFound: the hub has no such model; names the nearest that it has.
        PermissionDenied: it is gated, or the token is no good.
        ConfigError: it holds no model that is loaded here, or the disk is full.
        NotReady: it could not be fetched now.
    """
    hub = parse(name)
    assert hub is not None  # `store.place` said so
    work = partial_folder(target)
    work.mkdir(exist_ok=True)
    _fetch(hub, work, progress)
    listing = msgspec.json.decode((work / LISTING).read_bytes(), type=Listing)
    digests = _verify(name, work, listing, progress)
    source = f"hub:{hub.repo}@{listing.commit}"
    ggufs = [file.path for file in listing.files if file.path.lower().endswith(store.GGUF)]
    if ggufs:
        convert_gguf(name, work / ggufs[0], digests[ggufs[0]], source, target, progress)
        shutil.rmtree(work, ignore_errors=True)
        return
    _finish(name, work, target, digests, source)


def _finish(name: str, work: Path, target: Path, digests: Mapping[str, str], source: str) -> None:
    """Make what was fetched the model of the store."""
    try:
        check_folder(work)
        facts = facts_of(work)
    except ConfigError as error:
        raise ConfigError(str(error).replace(str(work), name)) from None
    (work / LISTING).unlink()
    weights = {path: found for path, found in digests.items() if path.endswith(".safetensors")}
    store.write_manifest(
        work,
        store.Stored(
            name=name,
            weights=digest_of(weights),
            tokenizer=digest(work / "tokenizer.json"),
            template=facts.template,
            recipe=0,
            context=facts.context,
            vocabulary=facts.vocabulary,
            bytes=store.size_of(work),
            source=source,
        ),
    )
    if target.exists():  # broken
        shutil.rmtree(target)
    work.rename(target)


def partial_folder(target: Path) -> Path:
    """Where a pull that is under way, or was interrupted, keeps what it has."""
    return target.with_name(f".{target.name}.fetched")


def environment(node: Mapping[str, str]) -> dict[str, str]:
    """The environment of the subprocess: named, with the hub's own settings and token in it."""
    kept = {
        name: value
        for name, value in node.items()
        if name in _KEPT
        or name.startswith(_KEPT_BEGINNINGS)
        or name.lower().endswith("_proxy")
    }  # fmt: skip
    return {
        **kept,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",  # its downloads are not gone on with
        "PYTHONUNBUFFERED": "1",
    }


def _fetch(hub: HubName, work: Path, progress: Progress) -> None:
    progress("download", 0, 0)
    plan = Plan(repo=hub.repo, revision=hub.revision, file=hub.file, folder=str(work))
    command = [
        sys.executable, "-P", "-m", "aiplat.engine.hub_fetch", msgspec.json.encode(plan).decode(),
    ]  # fmt: skip
    ended = run_counted(
        command, lambda done, total: progress("download", done, total), _SILENCE_SECONDS,
        environ=environment(os.environ), tied=True,
    )  # fmt: skip
    if ended.status == 0:
        return
    if not any(work.iterdir()) if work.is_dir() else False:
        work.rmdir()
    if "No module named" in ended.last:
        raise NotReady(
            f"Models of the hub cannot be fetched ({ended.last}): install what runs models here "
            'with `pip install "aiplat[local]"`.'
        )
    error = _ERRORS.get(ended.status, NotReady)
    raise error(f"{ended.last.rstrip('.')}.", param="model")


def _told(progress: Progress, done: int, total: int) -> Callable[[int], None]:
    return lambda more: progress("verify", done + more, total)


def _verify(name: str, work: Path, listing: Listing, progress: Progress) -> dict[str, str]:
    """Compare what came with what the hub says of it; gives the digests of all weights."""
    weights = [f for f in listing.files if f.path.endswith((".safetensors", store.GGUF))]
    total, done, digests = sum(file.size for file in weights), 0, {}
    for file in weights:
        path = work / file.path
        digests[file.path] = found = digest(path, _told(progress, done, total))
        if file.sha256 and found != file.sha256:
            path.unlink()
            raise NotReady(
                f"{file.path} of {name} is not what the hub says of it (SHA-256 {found[:12]}… "
                f"instead of {file.sha256[:12]}…): it was removed. Pull the model again."
            )
        done += file.size
    progress("verify", total, total)
    return digests
