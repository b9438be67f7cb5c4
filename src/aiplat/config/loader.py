"""Settings in layers: command line, environment, what was changed, ``config.toml``, defaults.

It knows no section. Each layer of aiplat owns its own (see `sections`), `runtime/settings.py`
lists them all. Only this package reads files and the environment for settings.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import msgspec

from aiplat.config.sections import SectionClass, Setting, section_name, settings_of
from aiplat.config.toml import ConfigFile, read_config
from aiplat.domain.errors import ConfigError, clip

T = TypeVar("T", bound=msgspec.Struct)
Layer = Literal["default", "file", "changed", "environment", "command line"]


@dataclass(frozen=True)
class _Given:
    """A value that some layer gives for a setting.

    `place` names where it stands, and is called only for an error, because finding a line
    takes a while; `strict` is False where values come as text.
    """

    value: Any
    place: Callable[[], str]
    layer: Layer
    strict: bool = True


Known = Mapping[str, Mapping[str, Setting]]


@dataclass(frozen=True)
class _Layers:
    """What each layer gives, the changed one left out; `above` is over it, `below` under it."""

    sections: tuple[SectionClass, ...]
    known: Known
    below: Mapping[str, _Given]
    above: Mapping[str, _Given]

    def built(self, changes: Mapping[str, str], place: str) -> Loaded:
        changed = _from_changes(changes, self.known, place)
        given = {**self.below, **changed, **self.above}
        values = {section: _build(section, given) for section in self.sections}
        return Loaded(values, given, self)


class Loaded:
    """The settings that hold. ``loaded[NodeSettings]`` is that section, checked."""

    def __init__(
        self,
        values: Mapping[SectionClass, msgspec.Struct],
        given: Mapping[str, _Given],
        layers: _Layers,
    ) -> None:
        self._values = dict(values)
        self._given = dict(given)
        self._layers = layers

    def __getitem__(self, section: type[T]) -> T:
        """Give the section of this class; a class that was not loaded is a `KeyError`."""
        return cast(T, self._values[section])

    def source(self, name: str) -> str:
        """Tell where ``section.field`` was set: a place in words, or ``default``."""
        return self._given[name].place() if name in self._given else "default"

    def layer(self, name: str) -> Layer:
        """Tell which layer gave ``section.field``."""
        return self._given[name].layer if name in self._given else "default"

    def changed(self, changes: Mapping[str, str], place: str) -> Loaded:
        """Give these settings with other `changes` than before (`load`).

        Raises:
            ConfigError: there is no such setting, or it cannot be that.
        """
        return self._layers.built(changes, place)


def load(
    sections: Sequence[SectionClass],
    file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] | None = None,
    changes: Mapping[str, str] | None = None,
    changes_place: str = "What was changed",
) -> Loaded:
    """Put the layers together and check every value.

    Arguments:
        sections: the classes to fill.
        file: a ``config.toml``; it need not exist.
        environ: the process's environment; variables are ``AIPLAT_<SECTION>_<FIELD>``, lists
            with commas between.
        overrides: what the command line says, as ``section.field`` to value; texts are read as
            those of the environment are.
        changes: what was changed while a node ran, over the file and under the environment, in
            the same form.
        changes_place: names where these stand, for errors.

    Raises:
        ConfigError: a value, key or table is wrong; names the place, the bound and the mend.
    """
    known = {section_name(section): settings_of(section) for section in sections}
    below: dict[str, _Given] = {}
    if file is not None and (config := read_config(file)) is not None:
        below |= _from_file(config, known)
    above = _from_environment(environ, known) | _from_overrides(overrides or {}, known)
    layers = _Layers(tuple(sections), known, below, above)
    return layers.built(changes or {}, changes_place)


def _from_file(config: ConfigFile, known: Known) -> dict[str, _Given]:
    given = {}
    for table, content in config.tables.items():
        if table not in known:
            hint = nearest(table, known)
            raise ConfigError(f"{config.place(table)}: there is no table [{clip(table)}]. {hint}")
        if not isinstance(content, dict):
            raise ConfigError(
                f"{config.place(table)}: {table} must be a table: write [{table}] on a line of "
                "its own, and its settings below."
            )
        for key, value in content.items():
            if key not in known[table]:
                place = config.place(table, key)
                hint = nearest(key, known[table])
                raise ConfigError(f"{place}: [{table}] has no setting {clip(key)!r}. {hint}")
            given[f"{table}.{key}"] = _Given(value, partial(config.place, table, key), "file")
    return given


def _from_environment(environ: Mapping[str, str], known: Known) -> dict[str, _Given]:
    given = {}
    variables = {
        setting.variable: setting for settings in known.values() for setting in settings.values()
    }
    prefixes = tuple(f"AIPLAT_{table}_".upper() for table in known)
    for variable in sorted(environ):
        setting = variables.get(variable)
        if setting is not None:
            place = partial(str, f"The environment variable {variable}")
            value = read_text(environ[variable], setting)
            given[f"{setting.section}.{setting.name}"] = _Given(
                value, place, "environment", strict=False
            )
        elif variable.startswith(prefixes):
            hint = nearest(variable, variables)
            raise ConfigError(f"The environment variable {variable} sets nothing. {hint}")
    return given


def _from_overrides(overrides: Mapping[str, object], known: Known) -> dict[str, _Given]:
    given = {}
    for name, value in overrides.items():
        setting = find(name, known)
        plain = read_text(value, setting) if isinstance(value, str) else value
        place = partial(str, f"The command line's {name}")
        strict = not isinstance(value, str)
        given[name] = _Given(plain, place, "command line", strict=strict)
    return given


def _from_changes(changes: Mapping[str, str], known: Known, place: str) -> dict[str, _Given]:
    given = {}
    for name, value in changes.items():
        try:
            text = read_text(value, find(name, known))
        except ConfigError as fault:
            raise ConfigError(f"{place}: {fault} Take it out of the file.") from None
        where = partial(str, f"{place}, {name}")
        given[name] = _Given(text, where, "changed", strict=False)
    return given


def find(name: str, known: Known) -> Setting:
    """Find the setting ``section.field``.

    Raises:
        ConfigError: there is none; names those that are near.
    """
    table, _, key = name.partition(".")
    setting = known.get(table, {}).get(key)
    if setting is None:
        names = [f"{table}.{key}" for table, settings in known.items() for key in settings]
        raise ConfigError(f"There is no setting {clip(name)!r}. {nearest(name, names)}")
    return setting


def read_text(text: str, setting: Setting) -> str | list[str]:
    """Cut a list at its commas; what else comes as text stays one."""
    if not setting.many:
        return text.strip()
    return [part for part in (part.strip() for part in text.split(",")) if part]


def _build(section: SectionClass, given: Mapping[str, _Given]) -> msgspec.Struct:
    table = section_name(section)
    values = {}
    for name, setting in settings_of(section).items():
        got = given.get(f"{table}.{name}")
        if got is not None:
            values[name] = _convert(got, setting)
    try:
        return section(**values)
    except ValueError as error:  # a section may check its fields against each other
        places = " and ".join(given[f"{table}.{name}"].place() for name in values)
        raise ConfigError(f"{places or 'The defaults'}: [{table}] {error}") from None


def _convert(got: _Given, setting: Setting) -> Any:
    try:
        return msgspec.convert(got.value, setting.type, strict=got.strict)
    except msgspec.ValidationError:
        shown = ", ".join(map(str, got.value)) if isinstance(got.value, list) else str(got.value)
        raise ConfigError(
            f"{got.place()}: {setting.name} must be {setting.kind}, but is {clip(shown)!r}. "
            f"Change it, or remove it to take the default, {show(setting.default)}."
        ) from None


def show(value: object) -> str:
    """Write a default as a person would type it in the file."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return "[" + ", ".join(show(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which of `known` the writer may have meant, or all of a few."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Known: {', '.join(names[:12])}{', …' if len(names) > 12 else ''}."
