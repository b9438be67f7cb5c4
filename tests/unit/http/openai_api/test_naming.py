"""Errors name what was sent, and stay what they are."""

from __future__ import annotations

import pytest

from aiplat.accounts.limits.hits import LimitHit, QuotaHit
from aiplat.domain.errors import ContextLengthExceeded, InvalidRequest
from aiplat.http.openai_api.naming import as_sent


def hit() -> LimitHit:
    return QuotaHit(
        "Send a smaller max_tokens, not a max_tokens_like thing.", limit="tokens_per_month",
        subject="key", retry_after=7.0, param="max_tokens",
    )  # fmt: skip


def test_an_error_that_takes_more_to_make_keeps_its_kind_and_says_what_was_sent() -> None:
    with pytest.raises(QuotaHit) as found, as_sent({"max_tokens": "max_output_tokens"}):
        raise hit()
    error = found.value
    assert str(error) == error.message
    assert str(error) == "Send a smaller max_output_tokens, not a max_tokens_like thing."
    assert (error.param, error.retry_after, error.limit) == (
        "max_output_tokens", 7.0, "tokens_per_month",
    )  # fmt: skip


def test_what_has_one_name_or_none_is_left_as_it_is() -> None:
    for error in (InvalidRequest("stop is wrong", param="stop"), ContextLengthExceeded("stop")):
        with pytest.raises(type(error), match=r"^stop") as found, as_sent({"max_tokens": "x"}):
            raise error
        assert found.value is error
