"""Fields that exist in an API and that nothing here can honour: refused by name, never ignored."""

from __future__ import annotations

from aiplat.domain.errors import UnsupportedParameter
from aiplat.http.reading import Fields, shown

Neutral = dict[str, tuple[object, ...]]
"""Fields, each with the values that ask for nothing; null always does."""


def refuse_wanted(fields: Fields, table: Neutral) -> None:
    """Raise `UnsupportedParameter` for the first field of `table` that asks for something."""
    for name, neutral in table.items():
        value = fields.raw(name)
        if value is None or any(type(value) is type(one) and value == one for one in neutral):
            continue
        path = fields.path(name)
        raise UnsupportedParameter(
            f"{path} is not supported here (it is {shown(value)}): leave it out.", param=path
        )
