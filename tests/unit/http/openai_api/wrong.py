"""Looks at how a part of a request is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiplat.domain.errors import AiplatError
from aiplat.http.reading import Fields


def refusal(parse: Callable[[Fields], Any], fields: dict[str, Any]) -> AiplatError:
    """The error with which `parse` refuses the fields."""
    with pytest.raises(AiplatError) as caught:
        parse(Fields(fields))
    return caught.value
