"""What a section of settings looks like from outside: its fields, their kinds and bounds.

A section is a frozen `msgspec.Struct` with ``SECTION: ClassVar[str]`` and fields of the form
``Annotated[type, msgspec.Meta(description=…, ge=…)]``, each with a default. This file reads
that form and knows no section by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect

SectionClass = type[msgspec.Struct]


@dataclass(frozen=True)
class Setting:
    """One field of a section.

    Arguments:
        section: the name of its table.
        name: its key in that table.
        type: what `msgspec.convert` takes.
        kind: type and bounds in words, such as ``a number from 0.1 to 60``.
        many: whether it is a list.
        description: what it does, for the docs.
        default: what holds when nobody says anything.
        choices: all that it may be, where that is a few words.
    """

    section: str
    name: str
    type: Any
    kind: str
    many: bool
    description: str
    default: Any
    choices: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"AIPLAT_{self.section}_{self.name}".upper()


def section_name(section: SectionClass) -> str:
    """Tell the name of the table that `section` is read from."""
    name = getattr(section, "SECTION", None)
    if not isinstance(name, str):
        raise TypeError(f"{section.__name__} has no SECTION: ClassVar[str].")
    return name


def settings_of(section: SectionClass) -> dict[str, Setting]:
    """List the settings of `section` by name, in the order in which they are written."""
    table = section_name(section)
    found = {}
    for field in msgspec.structs.fields(section):
        info = inspect.type_info(field.type)
        description = ""
        if isinstance(info, inspect.Metadata):
            description = (info.extra_json_schema or {}).get("description", "")
            info = info.type
        found[field.name] = Setting(
            section=table,
            name=field.name,
            type=field.type,
            kind=_kind(info),
            many=isinstance(info, inspect.VarTupleType | inspect.ListType),
            description=description,
            default=_default(field),
            choices=_choices(info),
        )
    return found


def _choices(info: inspect.Type) -> tuple[str, ...]:
    if isinstance(info, inspect.BoolType):
        return ("true", "false")
    return tuple(map(str, info.values)) if isinstance(info, inspect.LiteralType) else ()


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    if field.default is msgspec.NODEFAULT:
        raise TypeError(f"The setting {field.name} has no default.")
    return field.default


def _kind(info: inspect.Type) -> str:
    match info:
        case inspect.Metadata(type=inner):
            return _kind(inner)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number" + _range(info)
        case inspect.FloatType():
            return "a number" + _range(info)
        case inspect.StrType(min_length=int() as low) if low > 0:
            return "a text that is not empty"
        case inspect.StrType(pattern=str() as pattern):
            return f"a text of the form {pattern}"
        case inspect.StrType():
            return "a text"
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(str(value) for value in values)
        case inspect.UnionType(types=types):
            kinds = [_kind(kind) for kind in types if not isinstance(kind, inspect.NoneType)]
            return " or ".join([*kinds, "nothing"] if len(kinds) < len(types) else kinds)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return f"a list, each {_kind(item)}"
        case _:
            return "a value"


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    low, high = info.ge, info.le
    parts = []
    if low is not None and high is not None:
        return f" from {_number(low)} to {_number(high)}"
    if low is not None:
        parts.append(f"at least {_number(low)}")
    if info.gt is not None:
        parts.append(f"more than {_number(info.gt)}")
    if high is not None:
        parts.append(f"at most {_number(high)}")
    if info.lt is not None:
        parts.append(f"less than {_number(info.lt)}")
    return ", " + " and ".join(parts) if parts else ""


def _number(value: float) -> str:
    """Write 5000000 as itself, not as 5e+06."""
    return f"{value:.0f}" if value == int(value) else f"{value:g}"
