"""Settings in words and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiplat.cli.tables import Column
from aiplat.domain.errors import clip

if TYPE_CHECKING:
    from aiplat.control.running import SettingStatus

_LONGEST = 60
_WHERE = {
    "default": "the default", "file": "by config.toml", "changed": "changed while it ran",
    "environment": "by the environment", "command line": "by the command line",
}  # fmt: skip


def held_by(setting: SettingStatus) -> str:
    """Say where a value comes from."""
    return _WHERE[setting.source]


SETTINGS: tuple[Column[SettingStatus], ...] = (
    Column("name", 0, lambda s: clip(s.name, _LONGEST)),
    Column("value", 0, lambda s: clip(s.value, _LONGEST)),
    Column("set", 1, held_by),
    Column("now", 3, lambda s: "changes" if s.changes else "at a start"),
    Column("is", 4, lambda s: clip(s.kind, _LONGEST), breaks=True),
    Column("does", 2, lambda s: clip(s.about, 400), breaks=True),
)
