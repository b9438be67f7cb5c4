"""A process that asks, of a program which obeys a JSON object a line and answers with one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


class Asker:
    """The process.

    Arguments:
        program: what it runs.
        first: what that is told before anything is ordered; None where it needs no such thing.
    """

    def __init__(self, program: Path, first: object = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(program)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        if first is not None:
            self._say(first)

    def order(self, what: str, **given: object) -> dict[str, Any]:
        """Have something measured."""
        self._say({"do": what} | given)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the one who asks has ended: see above")
        told: dict[str, Any] = json.loads(line)
        return told

    def _say(self, what: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()
