"""The terms of sharing: what a wish changes, and what cannot be."""

from __future__ import annotations

import pytest

from aiplat.control.messages import ShareTerms, ShareWish
from aiplat.domain.errors import InvalidRequest
from aiplat.engine.settings import EngineSettings
from aiplat.roles.sharing_terms import changed, engines_within, memory_mib


def test_a_wish_changes_what_it_speaks_of_and_leaves_the_rest() -> None:
    terms = changed(ShareTerms(), ShareWish(hours="22-8", max_memory=" 4GiB ", threads=2))
    assert terms == ShareTerms(hours="22-08", max_memory="4GiB", threads=2)
    terms = changed(terms, ShareWish(pause=True, idle_only=True))
    assert (terms.paused, terms.idle_only, terms.hours) == (True, True, "22-08")
    ends = ShareWish(pause=False, idle_only=False, hours="always", max_memory="none", threads=0)
    assert changed(terms, ends) == ShareTerms()


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("none", 0), ("", 0), ("4GiB", 4096), ("512m", 512), ("1.5 g", 1536), ("2GB", 1907),
        ("75%", 6000), ("1%", 80), ("100%", 8000),
    ],
)  # fmt: skip
def test_a_size_or_a_share_of_the_machine(text: str, mib: int) -> None:
    assert memory_mib(text, 8000) == mib


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (ShareWish(max_memory="4"), "'4' is no size: write 4GiB"),
        (ShareWish(max_memory="-1GiB"), "is no size"),
        (ShareWish(max_memory="1MiB"), "from 64 MiB to 16 TiB, but is 1MiB"),
        (ShareWish(max_memory="101%"), "from 1% to 100% of this machine's, but is 101%"),
        (ShareWish(threads=-1), "threads must be from 1 to 1024, or 0 for one a core, but is -1"),
        (ShareWish(threads=1025), "but is 1025"),
        (ShareWish(hours="late"), "The hours 'late'"),
    ],
)
def test_what_cannot_be_is_said_with_its_bound(wish: ShareWish, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        changed(ShareTerms(), wish)


def test_the_owners_bounds_stand_in_the_place_of_the_configurations() -> None:
    settings = EngineSettings(threads=8, slots=3, memory_mib=100)
    assert engines_within(ShareTerms(), settings, 0) == settings
    bounded = engines_within(ShareTerms(threads=2, max_memory="50%"), settings, 8000)
    assert (bounded.threads, bounded.memory_mib, bounded.slots) == (2, 4000, 3)
