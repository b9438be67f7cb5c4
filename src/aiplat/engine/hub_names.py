"""Names of models on the Hugging Face hub: ``org/name[@revision][:file.gguf]``. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(
    r"(?P<repo>[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_.-]{1,96})"
    r"(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9_./-]{0,99}))?"
    r"(?::(?P<file>[A-Za-z0-9_. /-]{1,150}\.gguf))?"
)


class HubName(NamedTuple):
    """A repository, at a revision (empty: its main branch), and of it one GGUF file or all."""

    repo: str
    revision: str = ""
    file: str = ""

    @property
    def folder(self) -> str:
        """What its folder among the pulled models is called."""
        parts = (self.repo, *(part for part in (self.revision, self.file) if part))
        return "--".join(part.replace("/", "--").replace(" ", "-") for part in parts)


def parse(name: str) -> HubName | None:
    """What `name` means on the hub; None where it has no such form."""
    found = _NAME.fullmatch(name)
    if found is None or ".." in name or "--" in found["repo"]:
        return None
    return HubName(found["repo"], found["revision"] or "", found["file"] or "")
