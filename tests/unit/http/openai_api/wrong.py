"""Looks at how a part of a request is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aiplat.domain.errors import AiplatError, InvalidRequest
from aiplat.http.reading import Fields


def refusal(parse: Callable[[Fields], Any], fields: dict[str, Any]) -> AiplatError:
    """The error with which `parse` refuses the fields."""
    with pytest.raises(AiplatError) as caught:
        parse(Fields(fields))
    return caught.value


def check_words(error: AiplatError, param: str, words: Sequence[str]) -> None:
    """See that `error` blames the request, names what is wrong with it, and says the words."""
    assert isinstance(error, InvalidRequest)
    assert error.param == param
    for word in words:
        assert word in str(error)
