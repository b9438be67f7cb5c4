"""What is said of the machine beside every figure."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.engine.contenders import CORES

_PACKAGES = ("torch", "transformers", "xllamacpp")


def machine() -> dict[str, Any]:
    """The machine, the versions, the time and the load that there is now."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "cores": CORES,
        "cpu": _cpu(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
        "load_before": load(),
    }


def load() -> float:
    """Processes that wanted a core, the mean of the last minute."""
    return round(os.getloadavg()[0], 2)


def told(facts: dict[str, Any]) -> str:
    """The same in a line."""
    packages = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    after = facts.get("load_after")
    return (
        f"{facts['cores']} cores of {facts['cpu']}, no GPU used, on {facts['date'][:10]}, load "
        f"{facts['load_before']} before and {'?' if after is None else after} after; Python "
        f"{facts['python']}, {packages}, aiplat at {facts['commit']}."
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "no commit"
    return done.stdout.strip()
