"""What a page is: who may see it, what shows it, and what its forms do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from starlette.responses import Response

from aiplat.http.dashboard.forms import Problem
from aiplat.http.dashboard.visit import Visit

Need = Literal["nobody", "user", "operator"]
Show = Callable[[Visit, Problem], Awaitable[Response]]
Act = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True)
class Page:
    """One page.

    Arguments:
        path: where it is shown.
        need: who may see it and use its forms.
        show: makes it; with a problem the form that it is about is shown again as it was typed.
        acts: what its forms do, by their paths. An error is shown on the page itself.
    """

    path: str
    need: Need
    show: Show
    acts: Mapping[str, Act] = field(default_factory=dict)


def next_path(wanted: str, known: frozenset[str]) -> str:
    """Where to go after a log-in: a page of ours, and nothing else (no open redirect)."""
    path, _, query = wanted.partition("?")
    if path not in known or not wanted.isascii() or not wanted.isprintable():
        return "/"
    return f"{path}?{query}" if query and len(query) <= 500 else path
