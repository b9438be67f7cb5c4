"""What can befall the file of a gateway's accounts while it serves; each is over with its block."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

GARBAGE = b"no database at all " * 1000
_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""

Trouble = Callable[[Path], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another program holds it."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(database)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            yield
        finally:
            assert holder.stdin is not None
            holder.stdin.close()
            holder.wait(30)


@contextlib.contextmanager
def removed(database: Path) -> Iterator[None]:
    """It is moved away, and back."""
    away = database.with_suffix(".away")
    database.rename(away)
    try:
        yield
    finally:
        away.rename(database)


@contextlib.contextmanager
def replaced(database: Path) -> Iterator[None]:
    """Another file lies in its place."""
    with removed(database):
        database.write_bytes(GARBAGE)
        yield


@contextlib.contextmanager
def overwritten(database: Path) -> Iterator[None]:
    """Somebody wrote over its first pages, and puts them back."""
    with database.open("r+b") as file:
        kept = file.read(len(GARBAGE))
        file.seek(0)
        file.write(GARBAGE[: len(kept)])
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.write(kept)


@contextlib.contextmanager
def full(database: Path) -> Iterator[None]:
    """Somebody else takes each byte of its disk as soon as it is free."""
    filler, stops = database.with_name("filler"), threading.Event()

    def fill() -> None:
        with filler.open("wb", buffering=0) as file:
            while not stops.is_set():
                try:
                    file.write(bytes(1024))
                except OSError:
                    stops.wait(0.01)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        stops.set()
        thread.join()
        filler.unlink()


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A disk of that size at `folder`, which root alone can make.

    Raises:
        PermissionError: it cannot be made here; says why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        raise PermissionError("only root can mount a small disk")
    options = f"size={size},mode=0700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "aiplat-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PermissionError(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
