"""The forms of keys, sessions and invitations."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.accounts.secret_forms import (
    NO_HASH,
    Kind,
    equal,
    looks_like,
    mark_of,
    new_secret,
    take_apart,
)
from aiplat.domain.errors import InvalidApiKey
from tests.unit.accounts.helpers import GATEWAY, OTHER_GATEWAY, refused

KINDS: tuple[Kind, ...] = get_args(Kind)
WORDS = {"sk": "API key", "ses": "session", "inv": "invitation code", "open": "one-time link"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_is_taken_apart_again(kind: Kind) -> None:
    whole, kept = new_secret(kind, GATEWAY)
    assert re.fullmatch(rf"{kind}-aip-[a-z2-7]{{24}}-[A-Za-z0-9]{{43}}", whole)
    assert take_apart(whole, kind) == kept
    assert kept.hash == hashlib.sha256(whole.encode()).digest()
    assert (kept.id, kept.mark) == (whole.split("-")[2], mark_of(GATEWAY))
    assert looks_like(whole, kind)
    assert whole.split("-")[3] not in repr(kept)


def test_no_two_are_alike_and_all_letters_are_used() -> None:
    made = [new_secret("sk", GATEWAY) for _ in range(300)]
    assert len({kept.id for _, kept in made}) == 300
    letters = Counter("".join(whole.split("-")[3] for whole, _ in made))
    assert len(letters) == 62
    mean = sum(letters.values()) / 62
    assert all(0.5 * mean < count < 1.6 * mean for count in letters.values())


def test_a_mark_is_a_gateways_own() -> None:
    assert mark_of(GATEWAY) == mark_of(GATEWAY)
    assert mark_of(GATEWAY) != mark_of(OTHER_GATEWAY)
    assert len({mark_of(f"12D3KooW{n}") for n in range(1000)}) == 1000
    assert re.fullmatch("[a-z2-7]{12}", mark_of(GATEWAY))


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_is_no_other(kind: Kind) -> None:
    whole, _ = new_secret(kind, GATEWAY)
    for other in KINDS:
        assert looks_like(whole, other) == (other == kind)
        if other != kind:
            with refused(InvalidApiKey, f"That is no {WORDS[other]} of an aiplat gateway"):
                take_apart(whole, other)


SECRET = new_secret("sk", GATEWAY)[0]


@pytest.mark.parametrize(
    "text",
    [
        "", "sk-proj-abc", SECRET[:-1], SECRET + "A", f" {SECRET}", f"{SECRET}\n", SECRET.upper(),
        SECRET.replace("sk-aip-", "sk_aip_"), SECRET[:-1] + "é", SECRET[:-1] + "\0",
        SECRET[:-1] + "１", "sk-aip--" + "A" * 43, "' OR 1=1 --",
    ],
    ids=lambda text: f"{len(text)} characters",  # the secret is another in each of pytest's workers
)  # fmt: skip
def test_what_is_none_is_told_without_it(text: str) -> None:
    words = f"{len(SECRET)} characters in all. See that it was copied whole"
    with refused(InvalidApiKey, words) as caught:
        take_apart(text, "sk")
    for part in (SECRET[-20:], SECRET[8:30]):
        assert part not in str(caught.value)
    assert not looks_like(text, "sk")


def test_a_megabyte_is_told_by_its_length() -> None:
    text = SECRET + "x" * 1_000_000
    words = f"has {len(text)} characters, but one has at most 128: something else was pasted"
    with refused(InvalidApiKey, words):
        take_apart(text, "sk")
    assert not looks_like(text, "sk")


@given(st.text(max_size=150))
def test_no_text_gets_further_by_chance(text: str) -> None:
    with pytest.raises(InvalidApiKey):
        take_apart(text, "sk")


def test_hashes_are_compared_whole() -> None:
    one = hashlib.sha256(b"a").digest()
    assert equal(one, hashlib.sha256(b"a").digest())
    assert not equal(one, one[:-1] + b"x")
    assert not equal(one, NO_HASH)
    assert not equal(one, b"")
