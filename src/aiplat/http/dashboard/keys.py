"""API keys: made and shown once, rotated, revoked."""

from __future__ import annotations

from starlette.responses import Response

from aiplat.control.accounts import (
    KeyList,
    KeyName,
    KeyRotate,
    KeysAsk,
    KeyWish,
    NewKey,
)
from aiplat.control.messages import Done
from aiplat.domain.accounts import SCOPES, Scope
from aiplat.domain.errors import InvalidRequest
from aiplat.http.dashboard.forms import FINE, Form, Problem
from aiplat.http.dashboard.models import known_models
from aiplat.http.dashboard.pages import Page
from aiplat.http.dashboard.rendering import render
from aiplat.http.dashboard.visit import Visit

_DAY = 86_400
EXPIRIES = (
    (0, "never"),
    (1, "in a day"),
    (7, "in a week"),
    (30, "in 30 days"),
    (90, "in 90 days"),
    (365, "in a year"),
)
OVERLAPS = ((0, "at once"), (1, "in an hour"), (24, "in a day"), (168, "in a week"))
SCOPE_WORDS: dict[Scope, str] = {
    "inference": "ask models",
    "usage": "see usage",
    "admin": "manage keys and what else this account may",
}


def keys_page() -> Page:
    """The page."""
    acts = {"/keys": _make, "/keys/rotate": _rotate, "/keys/revoke": _revoke}
    return Page("/keys", "user", _show, acts)


async def _show(visit: Visit, problem: Problem) -> Response:
    asked = visit.query
    listed = await visit.ask("keys.list", KeysAsk(ended=asked.is_set("ended")), KeyList)
    models, _ = await known_models(visit)
    return render(
        visit, "keys.html", problem, listed=listed, models=[model.name for model in models],
        scopes=SCOPE_WORDS, expiries=EXPIRIES, overlaps=OVERLAPS, ended=asked.is_set("ended"),
    )  # fmt: skip


async def _make(visit: Visit) -> Response:
    form = visit.form
    if not form.line("name"):
        raise InvalidRequest("Give the key a name, such as the program that uses it.", param="name")
    days = form.whole("expires", 0, 3650, "The days until it ends") if form.line("expires") else 0
    wish = KeyWish(
        name=form.line("name"), scopes=_scopes(form), models=form.all("models"),
        expires_seconds=days * _DAY or None, limits=form.limits(),
    )  # fmt: skip
    made = await visit.ask("keys.create", wish, NewKey)
    return _once(visit, made)


def _scopes(form: Form) -> tuple[Scope, ...]:
    scopes = tuple(scope for scope in SCOPES if scope in form.all("scopes"))
    if not scopes:
        raise InvalidRequest("Tick at least one thing that the key may do.", param="scopes")
    return scopes


async def _rotate(visit: Visit) -> Response:
    hours = visit.form.whole("overlap", 0, 24 * 90, "The hours that the old secret holds")
    wish = KeyRotate(key=_key(visit), overlap_seconds=hours * 3600)
    return _once(visit, await visit.ask("keys.rotate", wish, NewKey), rotated=True)


async def _revoke(visit: Visit) -> Response:
    done = await visit.ask("keys.revoke", KeyName(key=_key(visit)), Done)
    return visit.go("/keys", done.message)


def _key(visit: Visit) -> str:
    key = visit.form.line("key")
    if not key:
        raise InvalidRequest("The form names no key.", param="key")
    return key


def _once(visit: Visit, made: NewKey, *, rotated: bool = False) -> Response:
    """The one page that shows a key whole; no browser keeps it."""
    url = visit.request.url
    visit.form = Form({})
    return render(
        visit, "key_made.html", FINE, made=made, rotated=rotated,
        base_url=f"{url.scheme}://{url.netloc}/v1",
    )  # fmt: skip
