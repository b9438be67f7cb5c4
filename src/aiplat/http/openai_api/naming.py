"""Errors of what answers a request, with the fields' names that the API has for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiplat.domain.errors import AiplatError


@contextmanager
def as_sent(names: Mapping[str, str]) -> Iterator[None]:
    """Have errors that are raised inside name what was sent.

    Arguments:
        names: by our name of a field that of the API, where they differ.

    Raises:
        AiplatError: the one that was raised, maybe with another `param`.
    """
    try:
        yield
    except AiplatError as error:
        ours = error.param or ""
        sent = names.get(ours, ours)
        if sent == ours:
            raise
        # As it is, with another name: what a leaf's own `__init__` takes besides is not known here.
        error.message = re.sub(rf"\b{re.escape(ours)}\b", sent, error.message)
        error.args, error.param = (error.message,), sent
        raise
