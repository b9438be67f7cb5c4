"""An installation without the extra `local`: a real environment that has no torch.

It is made of links to what this environment has of aiplat's plain requirements and of theirs, so
that what pyproject.toml forgets there is missing.
"""

from __future__ import annotations

import subprocess
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import aiplat
from tests.support.nodes import environment


def requirements(name: str) -> dict[str, Distribution]:
    """What a distribution needs without any extra of its own, by name; itself left out."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(name)]
    while waiting:
        wanted = waiting.pop()
        known = distribution(wanted.name)
        found[canonicalize_name(wanted.name)] = known
        for text in known.requires or ():
            needed = Requirement(text)
            extras = wanted.extras or {""}
            if needed.marker and not any(needed.marker.evaluate({"extra": e}) for e in extras):
                continue
            if canonicalize_name(needed.name) not in found:
                waiting.append(needed)
    del found[canonicalize_name(name)]
    return found


class Light:
    """An environment in a folder.

    Arguments:
        folder: where it is made.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=True)
        [packages] = folder.glob("lib/python3*/site-packages")
        for known in requirements("aiplat").values():
            for top in {path.parts[0] for path in known.files or ()} - {"..", "__pycache__"}:
                link = packages / top
                if not link.exists():
                    link.symlink_to(Path(str(known.locate_file(top))))
        (packages / "aiplat.pth").write_text(str(Path(aiplat.__file__).parents[1]))
        self.python = folder / "bin" / "python"

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run this environment's Python to its end."""
        return subprocess.run(
            [str(self.python), *arguments],
            input=stdin, capture_output=True, text=True, timeout=120, check=False,
            env=environment(PYTHONPATH=""),
        )  # fmt: skip

    def aiplat(
        self, home: Path, *arguments: str, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of aiplat on a home."""
        return self.run("-m", "aiplat", "--home", str(home), *arguments, stdin=stdin)
