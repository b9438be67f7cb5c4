"""The settings of a node that runs: shown, and changed where the code reads them at use.

A change is over `config.toml` and under the environment and the command line, and is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import trio

from aiplat.accounts.settings import AccountsSettings
from aiplat.config.loader import Loaded, find, read_text, show
from aiplat.config.sections import SectionClass, Setting, section_name, settings_of
from aiplat.control.running import SettingSource, SettingStatus
from aiplat.domain.errors import ConfigError, InvalidRequest, clip
from aiplat.roles.settings import GatewaySettings
from aiplat.runtime.changes_file import ChangesFile
from aiplat.runtime.settings import SECTIONS, RuntimeSettings

log = logging.getLogger("aiplat.runtime")

MAX_VALUE = 1000
_AT_START: Mapping[SectionClass, frozenset[str]] = {
    AccountsSettings: frozenset({"hashing", "max_hashing"}),
    GatewaySettings: frozenset({"explain_requests", "rest_seconds", "longest_rest_seconds"}),
    RuntimeSettings: frozenset(settings_of(RuntimeSettings)) - {"log_level", "grace_seconds"},
}
"""Of the sections that are followed, the settings that are read once, when the node starts."""
_KNOWN = {section_name(section): settings_of(section) for section in SECTIONS}
_CLASSES = {section_name(section): section for section in SECTIONS}

Follow = Mapping[SectionClass, Callable[[Any], None]]


class RunningSettings:
    """The settings of this node (`accounts.tuning.Tunable`).

    Arguments:
        loaded: those that it started with.
        kept: the file of the changes.
        follow: by section, what has a part do by other settings from now on.
        fixed: settings that something outside of all layers holds, by name, with that in words.
        said: what options of the command line's own said in place of settings, by name.
    """

    def __init__(
        self,
        loaded: Loaded,
        kept: ChangesFile,
        follow: Follow,
        fixed: Mapping[str, str] | None = None,
        said: Mapping[str, object] | None = None,
    ) -> None:
        self._loaded = loaded
        self._kept = kept
        self._follow = follow
        self._fixed = dict(fixed or {})
        self._said = dict(said or {})
        self._changes = kept.read()

    def listed(self, *, changing: bool) -> tuple[SettingStatus, ...]:
        """All, or those that can be changed now."""
        told = (self._told(one) for settings in _KNOWN.values() for one in settings.values())
        return tuple(status for status in told if status.changes or not changing)

    def check(self, name: str, value: str | None) -> None:
        """See that one can have that value (`Tunable`)."""
        try:
            setting = find(name, _KNOWN)
        except ConfigError as fault:
            raise InvalidRequest(str(fault), param="name") from None
        if not self._may_change(setting):
            raise InvalidRequest(
                f"The setting {name} is read when a node starts: change it where the node gets it "
                "from, such as its config.toml, and start the node again. `aiplat settings list` "
                "shows those that change at once.",
                param="name",
            )
        if why := self._why_fixed(setting):
            raise InvalidRequest(
                f"The setting {name} cannot be changed now: {why}. Take that away and start the "
                "node again.",
                param="name",
            )
        if value is not None:
            _check_value(setting, value)
        self._with(name, value)

    async def change(self, name: str, value: str | None) -> SettingStatus:
        """Have it so, now and after restarts (`Tunable`)."""
        loaded, changes = self._with(name, value)
        await trio.to_thread.run_sync(self._kept.keep, changes)
        self._loaded, self._changes = loaded, changes
        setting = find(name, _KNOWN)
        section = _CLASSES[setting.section]
        self._follow[section](loaded[section])
        told = self._told(setting)
        log.info("the setting %s is %s from now on", name, told.value, extra={"sign": "✅"})
        return told

    def _with(self, name: str, value: str | None) -> tuple[Loaded, dict[str, str]]:
        changes = {other: text for other, text in self._changes.items() if other != name}
        if value is not None:
            changes[name] = value
        try:
            return self._loaded.changed(changes, str(self._kept.path)), changes
        except ConfigError as fault:  # such as two settings that do not fit each other
            raise InvalidRequest(str(fault), param="value") from None

    def _may_change(self, setting: Setting) -> bool:
        section = _CLASSES[setting.section]
        return section in self._follow and setting.name not in _AT_START[section]

    def _why_fixed(self, setting: Setting) -> str:
        name = _name(setting)
        if name in self._fixed:
            return self._fixed[name]
        if self._source(setting) in ("environment", "command line"):
            source = self._loaded.source(name)
            return f"{source[0].lower()}{source[1:]} sets it, which comes first"
        return ""

    def _source(self, setting: Setting) -> SettingSource:
        name = _name(setting)
        return "command line" if name in self._said else self._loaded.layer(name)

    def _told(self, setting: Setting) -> SettingStatus:
        name = _name(setting)
        value = self._said.get(name, getattr(self._loaded[_CLASSES[setting.section]], setting.name))
        may_change = self._may_change(setting)
        fixed = self._why_fixed(setting) if may_change else ""
        return SettingStatus(
            name=name, about=" ".join(setting.description.split()), kind=setting.kind,
            value=show(value), default=show(setting.default), source=self._source(setting),
            changes=may_change and not fixed, fixed=fixed, choices=setting.choices,
        )  # fmt: skip


def _check_value(setting: Setting, value: str) -> None:
    if len(value) > MAX_VALUE:
        raise InvalidRequest(
            f"A setting's value has at most {MAX_VALUE} characters, this one {len(value)}.",
            param="value",
        )
    try:
        msgspec.convert(read_text(value, setting), setting.type, strict=False)
    except msgspec.ValidationError:
        raise InvalidRequest(
            f"{_name(setting)} must be {setting.kind}, but is {clip(value)!r}. Its default is "
            f"{show(setting.default)}.",
            param="value",
        ) from None


def _name(setting: Setting) -> str:
    return f"{setting.section}.{setting.name}"
