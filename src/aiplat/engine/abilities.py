"""What a model will do, as far as its folder tells before it is loaded. It reads, and runs nothing.

Its process knows better, tells it when it is ready, and is remembered (`engine.uses`).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from aiplat.domain.errors import ConfigError
from aiplat.domain.models import Ability
from aiplat.engine.calling.formats import format_of
from aiplat.engine.folders import template_of


def expected(folder: Path) -> tuple[Ability, ...]:
    """What the model in `folder` will do: it answers, whatever else."""
    can: list[Ability] = ["generate"]
    try:
        template = template_of(folder).decode("utf-8", "replace")
    except (OSError, ConfigError):  # its load says what is wrong with it
        template = ""
    if "tools" in template and format_of(template) is not None:
        can.append("tools")
    if importlib.util.find_spec("llguidance") is not None:
        can.append("grammar")
    return tuple(can)
