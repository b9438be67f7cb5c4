"""What every command starts from: the home, its settings, and the node that runs there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from aiplat.config.loader import Loaded
    from aiplat.control.messages import Status
    from aiplat.runtime.places import Places
    from aiplat.runtime.reach import NodeClient
    from aiplat.runtime.settings import RuntimeSettings


@dataclass
class Face:
    """One run of the command line.

    Arguments:
        home: what ``--home`` said.
        overrides: settings of the command line, as ``section.name`` to text.
    """

    home: str | None = None
    overrides: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> Mapping[str, str]:
        """The process's environment."""
        return os.environ

    @cached_property
    def places(self) -> Places:
        """The folders; nothing is made or read."""
        from aiplat.runtime.places import find_places

        return find_places(self.home, self.environ)

    @cached_property
    def loaded(self) -> Loaded:
        """Every setting, checked."""
        from aiplat.runtime.settings import load_settings

        return load_settings(self.places, self.environ, self.overrides)

    @property
    def runtime(self) -> RuntimeSettings:
        """The settings of the runtime."""
        from aiplat.runtime.settings import RuntimeSettings

        return self.loaded[RuntimeSettings]

    def running(self) -> tuple[NodeClient, Status]:
        """Give the node that runs here; `NotReady` when none does. Never starts one."""
        from aiplat.runtime.reach import running_node

        return running_node(self.places)


def face_of(context: typer.Context) -> Face:
    """Give the run that `context` belongs to."""
    face = context.find_root().obj
    assert isinstance(face, Face)
    return face
