"""The files that the pages load: read once, named by their content, and kept by browsers for long.

Nothing is loaded from elsewhere; htmx and uPlot lie here with their licences.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.responses import Response

from aiplat.http.dashboard.headers import STATIC

PREFIX = "/static/"
_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class File:
    """One file, and the path that it is served at."""

    path: str
    data: bytes
    media_type: str


@cache
def files() -> dict[str, File]:
    """All of them, by the names that templates know."""
    found = {}
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _TYPES:
            data = path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()[:12]
            served = f"{PREFIX}{path.stem}.{digest}{path.suffix}"
            found[path.name] = File(served, data, _TYPES[path.suffix])
    return found


@cache
def _by_path() -> dict[str, File]:
    return {file.path: file for file in files().values()}


def url_of(name: str) -> str:
    """Where a file is: a new path whenever its content is new."""
    return files()[name].path


def answer(path: str) -> Response | None:
    """The file at a path; None where there is none."""
    file = _by_path().get(path)
    if file is None:
        return None
    headers = {**STATIC, "cache-control": _FOR_EVER}
    return Response(file.data, 200, headers, file.media_type)
