"""Reads a text file that a person attaches to a question."""

from __future__ import annotations

import os
import stat

from aiplat.domain.conversations import AttachedFile
from aiplat.domain.errors import InvalidRequest
from aiplat.tui.paths import told, typed_path

MAX_BYTES = 1_000_000
MAX_FILES = 16


def read_attached(path: str) -> AttachedFile:
    """Read a file; blocks.

    Arguments:
        path: as a person types it, ``~`` too.

    Raises:
        InvalidRequest: it is not there, no file, no text, or too large.
    """
    file = typed_path(path)
    with told(file, "read"):
        if file.is_dir():
            raise InvalidRequest(f"{file} is a folder, so it cannot be attached.", param="path")
        # Not a pipe or a device, which may never end; not blocking, should it become one.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as source:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InvalidRequest(f"{file} is no file, so it cannot be attached.", param="path")
            data = source.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InvalidRequest(
            f"{file} has more than {MAX_BYTES} bytes, the most that is attached.", param="path"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"{file} is no text in UTF-8, so a model could not read it.", param="path"
        ) from None
    if "\0" in text:
        raise InvalidRequest(f"{file} holds bytes that no text has.", param="path")
    return AttachedFile(file.name, text)
