"""Turns a GGUF file into a model of the store, in a subprocess. Blocking.

The work happens in a folder beside the final one; a rename ends it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from aiplat.domain.chat import Sampling
from aiplat.domain.errors import ConfigError, NotReady
from aiplat.engine import store
from aiplat.engine.folders import digest, facts_of
from aiplat.engine.stages import Progress
from aiplat.engine.subprocesses import run_counted

_SILENCE_SECONDS = 600.0  # a large model is read in one go
_REFUSED = 13
MODULE = "aiplat.engine.backends.gguf_any"


def convert_gguf(
    name: str, file: Path, weights: str, source: str, target: Path, progress: Progress
) -> None:
    """Make the folder `target` of a GGUF file. The caller holds the model's lock.

    Arguments:
        name: what the model will be offered as.
        weights: the file's SHA-256.
        source: where the file is from.

    Raises:
        ConfigError: the file is none, is broken, or holds a model that cannot be converted.
        NotReady: what converts is not installed.
    """
    check_gguf(file)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
    try:
        run_converter(name, file, work, progress)
        facts = facts_of(work)
        store.write_manifest(
            work,
            store.Stored(
                name=name,
                weights=weights,
                tokenizer=digest(work / "tokenizer.json"),
                template=facts.template,
                recipe=store.RECIPE,
                quantisation="gguf",
                context=facts.context,
                vocabulary=facts.vocabulary,
                sampling=Sampling(),
                bytes=store.size_of(work),
                source=source,
            ),
        )
        if target.exists():  # of an older recipe, or broken
            shutil.rmtree(target)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_gguf(file: Path) -> None:
    """Refuse what is no GGUF file, before anything is started for it.

    Raises:
        ConfigError: says what is there instead.
    """
    try:
        with file.open("rb") as opened:
            head = opened.read(8)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    if head[:4] != b"GGUF":
        raise ConfigError(f"{file} is no GGUF file: it does not begin with GGUF.")
    version = int.from_bytes(head[4:8], "little")
    if version not in (2, 3):
        raise ConfigError(f"{file} is a GGUF file of version {version}; 2 and 3 are read here.")


def run_converter(name: str, file: Path, folder: Path, progress: Progress) -> None:
    """Write the transformers folder of a GGUF file.

    Raises:
        ConfigError: it cannot be converted; says why.
        NotReady: what converts is not installed.
    """
    progress("convert", 0, 1)
    command = [sys.executable, "-P", "-u", "-m", MODULE, str(file), str(folder)]
    ended = run_counted(
        command, lambda done, total: progress("convert", done, total), _SILENCE_SECONDS
    )
    if "No module named" in ended.last:
        raise NotReady(
            f"{name} cannot be converted ({ended.last}): install what runs models here with "
            '`pip install "aiplat[local]"`.'
        )
    if ended.status == _REFUSED:
        raise ConfigError(f"{name} cannot be served: {ended.last}.")
    if ended.status != 0:
        raise NotReady(f"{name} could not be converted: {ended.last}.")
