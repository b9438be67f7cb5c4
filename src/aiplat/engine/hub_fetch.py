"""Fetches a model's files from the Hugging Face hub, in a process of its own.

``python -m aiplat.engine.hub_fetch PLAN`` (JSON) fills a folder and prints ``Progress N of M``,
in bytes. What is half there stays under another name and is gone on with at the next try. It ends
when its input does: with who started it. A failure is one line, ``ERROR: …``, and a status.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from aiplat.domain.errors import ConfigError
from aiplat.engine.folders import facts_of
from aiplat.engine.hub_choice import SMALL, Refused, RepoFile, check_config, choose
from aiplat.engine.hub_names import HubName
from aiplat.engine.vector_folder import MODULES

LISTING = "listing.json"
PART = ".part"
NOT_FOUND, NOT_ALLOWED, NO_ROOM, REFUSED, FAILED = 10, 11, 12, 13, 1
"""How it ends when it fails."""

_MIB = 1024 * 1024
_SLACK = 64 * _MIB
_TELL_SECONDS = 0.1
_ANSWER_SECONDS = 30.0
_NO_NETWORK = ("ConnectError", "TimeoutException", "TransportError", "ConnectionError")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to fetch, and into which folder, which is there."""

    repo: str
    revision: str = ""
    file: str = ""
    folder: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder of a fetch will hold: the commit, and its files."""

    commit: str
    files: tuple[RepoFile, ...]


class Failure(Exception):
    """It does not go on: the status to end with, and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def fetch(plan: Plan) -> None:
    """Fill the plan's folder.

    Raises:
        Failure: says why not.
        Refused: the repository holds no model that is loaded here.
    """
    name = HubName(plan.repo, plan.revision, plan.file)
    folder = Path(plan.folder)
    if _is_offline():
        _from_cache(name, folder)
        return
    listing = _list(name)
    _begin(folder, listing)
    _check_space(name, folder, listing)
    told = _Told(sum(file.size for file in listing.files))
    for file in listing.files:
        if file.path not in SMALL:
            _check(name.repo, folder)
        _get(name, listing.commit, file, folder, told)


def _list(name: HubName) -> Listing:
    from huggingface_hub import HfApi

    info = HfApi().model_info(
        name.repo, revision=name.revision or None, files_metadata=True, timeout=_ANSWER_SECONDS
    )
    files = [
        RepoFile(one.rfilename, one.size or 0, one.lfs.sha256 if one.lfs else "")
        for one in info.siblings or ()
    ]
    return Listing(commit=info.sha or "main", files=choose(name, files))


def _begin(folder: Path, listing: Listing) -> None:
    """Go on with what an earlier try left of the same commit; of another, nothing stays."""
    path = folder / LISTING
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        if msgspec.json.decode(path.read_bytes(), type=Listing) == listing:
            return
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    path.write_bytes(msgspec.json.encode(listing))


def _check_space(name: HubName, folder: Path, listing: Listing) -> None:
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed = max(0, sum(file.size for file in listing.files) - there) + _SLACK
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Failure(
            NO_ROOM,
            f"{name.repo} needs {needed // _MIB} MiB more on the disk of {folder.parent}, but "
            f"{free // _MIB} MiB are free. Free some, or move the model cache with AIPLAT_CACHE.",
        )


def _check(repo: str, folder: Path) -> None:
    """See that the weights are worth fetching, once the small files are there."""
    found: list[dict[str, Any]] = []
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        try:
            read = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            read = {}
        except msgspec.MsgspecError:
            raise Refused(f"{name} of {repo} is no JSON: the repository is broken.") from None
        found.append(read)
    check_config(repo, *found, has_modules=(folder / MODULES).is_file())
    if (folder / "config.json").is_file():  # a GGUF file has it inside
        try:
            facts_of(folder)
        except ConfigError as error:
            raise Refused(str(error).replace(str(folder), repo)) from None


def _get(name: HubName, commit: str, file: RepoFile, folder: Path, told: _Told) -> None:
    from huggingface_hub import hf_hub_url, try_to_load_from_cache
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    whole = folder / file.path
    part = whole.with_name(whole.name + PART)
    if not whole.is_file():
        whole.parent.mkdir(parents=True, exist_ok=True)
        cached = try_to_load_from_cache(name.repo, file.path, revision=commit)
        if isinstance(cached, str):
            shutil.copyfile(cached, part)
        else:
            with part.open("ab") as opened:
                if opened.tell() > file.size:
                    opened.truncate(0)
                url = hf_hub_url(name.repo, file.path, revision=commit)
                http_get(
                    url, cast(BinaryIO, told.counting(opened)), resume_size=opened.tell(),
                    headers=build_hf_headers(), expected_size=file.size,
                )  # fmt: skip
        part.rename(whole)
    told.done(file.size)


class _Told:
    """Prints how far it is, not too often."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._last = total, 0, 0.0

    def done(self, size: int) -> None:
        """A file is there."""
        self._done += size
        self.now(0)

    def now(self, more: int) -> None:
        """So many bytes of the next are there."""
        if (now := time.monotonic()) - self._last >= _TELL_SECONDS or not more:
            self._last = now
            sys.stdout.write(f"Progress {self._done + more} of {self._total}\n")
            sys.stdout.flush()

    def counting(self, file: BinaryIO) -> Any:
        """`file`, whose writes are told."""
        told = self

        class Counting:
            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

            def write(self, data: bytes) -> int:
                written = file.write(data)
                told.now(file.tell())
                return written

        return Counting()


# -- without the network -------------------------------------------------------------------------


def _is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _from_cache(name: HubName, folder: Path) -> None:
    """Take what other programs fetched before, from the hub's own cache (`HF_HOME`)."""
    from huggingface_hub import constants, try_to_load_from_cache

    found = None
    for probe in (name.file,) if name.file else ("config.json", "README.md", ".gitattributes"):
        found = found or try_to_load_from_cache(name.repo, probe, revision=name.revision or "main")
    if not isinstance(found, str):
        raise Failure(
            FAILED,
            f"HF_HUB_OFFLINE is set, and {name.repo} is not in {constants.HF_HUB_CACHE}: unset it "
            "to fetch the model from the hub.",
        )
    snapshot = Path(found.removesuffix(name.file).rstrip("/")) if name.file else Path(found).parent
    paths = [path for path in snapshot.rglob("*") if path.is_file()]
    files = [RepoFile(str(p.relative_to(snapshot)), p.stat().st_size) for p in paths]
    listing = Listing(commit=snapshot.name, files=choose(name, files))
    _begin(folder, listing)
    _check_space(name, folder, listing)
    told = _Told(sum(file.size for file in listing.files))
    for file in listing.files:
        if file.path not in SMALL:
            _check(name.repo, folder)
        whole = folder / file.path
        whole.parent.mkdir(parents=True, exist_ok=True)
        part = whole.with_name(whole.name + PART)
        shutil.copyfile(snapshot / file.path, part)
        part.rename(whole)
        told.done(file.size)


# -- what can go wrong -----------------------------------------------------------------------------


def explain(error: BaseException, plan: Plan) -> Failure:
    """Make a sentence of what `huggingface_hub` raised. No address with a secret is in it."""
    from huggingface_hub import constants, errors

    hub, repo = constants.ENDPOINT, plan.repo
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if isinstance(error, errors.GatedRepoError) or status == 403:
        have = "the token in use has no access to it" if _has_token() else "no token is set"
        return Failure(
            NOT_ALLOWED,
            f"{repo} is gated, and {have}: accept its terms at {hub}/{repo}, and set HF_TOKEN to a "
            "token of that account.",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return Failure(NOT_FOUND, f"{repo} on {hub} has no revision {plan.revision or 'main'!r}.")
    if isinstance(error, errors.EntryNotFoundError):
        return Failure(NOT_FOUND, f"A file of {repo} is gone from {hub} since it was listed.")
    if isinstance(error, errors.RepositoryNotFoundError):
        more = "" if _has_token() else " If it is private, set HF_TOKEN."
        text = f"There is no model {repo} on {hub}, or it is private. {_near(repo)}{more}"
        return Failure(NOT_FOUND, text.strip())
    if status == 401:
        return Failure(NOT_ALLOWED, f"{hub} does not accept the token in HF_TOKEN: renew it.")
    if status == 429:
        after = error.response.headers.get("Retry-After", "")  # type: ignore[attr-defined]  # it has a status
        when = f"in {after} s" if after.isdigit() else "later"
        return Failure(FAILED, f"{hub} allows no more requests for now (429): try again {when}.")
    if status:
        return Failure(FAILED, f"{hub} answers with status {status}: try again later.")
    return _explain_others(error, hub, repo)


def _explain_others(error: BaseException, hub: str, repo: str) -> Failure:
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(
            NO_ROOM,
            f"The disk was full before {repo} was whole; what was there of it was removed. Free "
            "some space, or move the model cache with AIPLAT_CACHE.",
        )
    if names.intersection(_NO_NETWORK) or isinstance(error, TimeoutError):
        kind = "does not answer in time" if "Timeout" in type(error).__name__ else "is not reached"
        return Failure(
            FAILED, f"The hub {hub} {kind}: check the network, and pull again, which goes on there."
        )
    if "Consistency check" in str(error) or "RemoteProtocolError" in names:
        return Failure(
            FAILED, f"The connection to {hub} broke off: pull again, which goes on there."
        )
    if isinstance(error, ValueError):  # JSON that is none
        return Failure(FAILED, f"What answers at {hub} is no model hub ({type(error).__name__}).")
    text = f"{type(error).__name__}: {str(error).strip()[:200]}".splitlines()[0]
    return Failure(FAILED, f"{repo} could not be fetched from {hub} ({_redacted(text)}).")


def _near(repo: str) -> str:
    """The nearest names that the hub knows, as far as it answers."""
    from huggingface_hub import HfApi

    try:
        words = repo.partition("/")[2]
        found = [model.id for model in HfApi().list_models(search=words, limit=3)]
    except Exception:  # noqa: BLE001  # a hint, and no more
        return ""
    return f"Did you mean {', '.join(found)}?" if found else ""


def _has_token() -> bool:
    from huggingface_hub import get_token

    return bool(get_token())


def _redacted(text: str) -> str:
    from huggingface_hub import get_token

    token = get_token()
    return text.replace(token, "…") if token else text


def _end_with_input() -> None:
    """Who started this holds our input open as long as it wants the files."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(130)

    threading.Thread(target=watch, name="input", daemon=True).start()


def _run(plan: Plan) -> int:
    try:
        fetch(plan)
    except (Failure, Refused) as known:
        return _say(known, getattr(known, "status", REFUSED))
    except Exception as error:  # noqa: BLE001  # of libraries, which raise many kinds
        failure = explain(error, plan)
        if failure.status == NO_ROOM:
            shutil.rmtree(plan.folder, ignore_errors=True)
        return _say(failure, failure.status)
    return 0


def _say(failure: Exception, status: int) -> int:
    sys.stdout.write(f"ERROR: {' '.join(str(failure).split())}\n")
    return status


def main(arguments: Iterable[str]) -> int:
    """Fetch what the plan says; the status says how it went."""
    plan = msgspec.json.decode(next(iter(arguments)), type=Plan)
    _end_with_input()
    try:
        status = _run(plan)
    except ImportError as error:
        status = _say(error, FAILED)
    except KeyboardInterrupt:
        status = 130
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
