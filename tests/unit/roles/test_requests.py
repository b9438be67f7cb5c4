"""How a request is found again by what a person types."""

from __future__ import annotations

import pytest

from aiplat.domain.errors import InvalidRequest
from aiplat.domain.ids import is_request_id
from aiplat.roles.requests import find_request, new_request_id

ONE, TWO = "req-abcdef000000000000000001", "req-abcdff000000000000000002"


@pytest.mark.parametrize(
    "name", [ONE, f" {ONE}\n", "req-abcde", "abcde", "chatcmpl-" + ONE[4:], "chatcmpl-abcde"]
)
def test_a_request_is_found_by_its_name_or_how_that_begins(name: str) -> None:
    assert find_request(name, [ONE, TWO]) == ONE


@pytest.mark.parametrize("name", ["", "req-", "req-abc", "abc", "000001", "req-ffff", "chatcmpl-"])
def test_what_is_too_short_or_nobodys_is_not_found(name: str) -> None:
    assert find_request(name, [ONE, TWO]) == ""


def test_what_several_begin_with_is_said() -> None:
    with pytest.raises(InvalidRequest, match="2 requests begin with 'abcd'"):
        find_request("abcd", [ONE, TWO])


def test_names_are_names() -> None:
    assert is_request_id(new_request_id())
    assert new_request_id() != new_request_id()
