"""The settings of a node, and those that its operators change while it runs: messages.

They are asked as the others of `accounts.METHODS`, and hold by the same rules.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SettingSource = Literal["default", "file", "changed", "environment", "command line"]


class SettingStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A setting, as it holds now.

    Arguments:
        name: with its section: ``accounts.registration``.
        about: what it does.
        kind: type and bounds in words, such as ``a whole number from 1 to 100``.
        value, default: as they are written in `config.toml`; a text has quotes.
        source: where the value comes from; ``changed`` was said while the node ran, and is kept.
        changes: whether it can be changed now.
        fixed: why not, where it could but for what started the node; else empty.
        choices: all that it may be, where that is a few words.
    """

    name: str
    about: str
    kind: str
    value: str
    default: str
    source: SettingSource = "default"
    changes: bool = False
    fixed: str = ""
    choices: tuple[str, ...] = ()


class SettingsAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All settings, or those alone that can be changed while the node runs."""

    changing: bool = False


class SettingList(msgspec.Struct, frozen=True, kw_only=True):
    """Settings, in the order of the docs."""

    settings: tuple[SettingStatus, ...]


class SettingWish(msgspec.Struct, frozen=True, kw_only=True):
    """Give a setting another value, written as in the environment: a text without quotes."""

    name: str
    value: str


class SettingName(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that shall be again what it was when the node started."""

    name: str
