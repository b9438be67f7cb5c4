"""What was typed into the forms, made into what is asked of the gateway. Knows no widget.

A value that cannot be is refused here with its field; all else the gateway judges.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiplat.control.accounts import (
    KeyRotate,
    KeyStatus,
    KeyWish,
    LimitsWish,
    Login,
    Register,
    UserInvite,
)
from aiplat.domain.accounts import SCOPES, Limits
from aiplat.domain.amounts import count, count_or_none, exactly, span, span_or_never
from aiplat.domain.errors import InvalidRequest

Values = Mapping[str, str]

LIMITS: tuple[tuple[str, str], ...] = (
    ("requests_per_minute", "requests/min"),
    ("tokens_per_minute", "tokens/min"),
    ("concurrent", "at once"),
    ("tokens_per_month", "tokens/month"),
)
"""The limits in the order of their fields, with what they are called."""


def login(values: Values) -> Login:
    """Name and password; raises `InvalidRequest` where one is missing."""
    return Login(name=_name(values), password=_password(values))


def register(values: Values) -> Register:
    """The same for a new account; raises `InvalidRequest` where the passwords differ."""
    password = _password(values)
    if password != values["again"]:
        raise InvalidRequest("The two passwords differ: type both again.", param="password")
    return Register(name=_name(values), password=password, invitation=values["invitation"].strip())


def _name(values: Values) -> str:
    if not values["name"]:
        raise InvalidRequest("The account needs a name.", param="name")
    return values["name"]


def _password(values: Values) -> str:
    if not values["password"]:
        raise InvalidRequest("The password is empty.", param="password")
    return values["password"]


def limits(values: Values) -> Limits:
    """The four limits; an empty field is no limit, as ``none`` is."""
    return Limits(**{
        field: count_or_none(values[field], param=field) if values[field] else None
        for field, _ in LIMITS
    })  # fmt: skip


def key(values: Values) -> KeyWish:
    """A key that shall be made."""
    if not values["name"]:
        raise InvalidRequest("The key needs a name, such as laptop.", param="name")
    scopes = tuple(scope for scope in SCOPES if values[f"may_{scope}"])
    if not scopes:
        raise InvalidRequest(
            "The key needs something that it may: tick one.", param="may_inference"
        )
    models = [model for part in values["models"].split(",") if (model := part.strip())]
    user = values.get("user", "")
    store = values["keep"] in ("keyring", "file")
    if user and store:
        raise InvalidRequest(
            "A key of another's account is not kept here, where it would be shown as yours: choose "
            "to keep it nowhere, and hand it over.",
            param="keep",
        )
    return KeyWish(
        name=values["name"], scopes=scopes, models=tuple(dict.fromkeys(models)),
        expires_seconds=span_or_never(values["expires"] or "never", param="expires"),
        limits=limits(values), user=user, store=store, insecure=values["keep"] == "file",
    )  # fmt: skip


def rotation(of: KeyStatus, user: str, values: Values) -> KeyRotate:
    """A new secret for a key.

    Arguments:
        user: whose it is, where that is not oneself; then it is not kept here.
    """
    keep = "" if user else values["keep"]
    return KeyRotate(
        key=of.id, user=user, overlap_seconds=span(values["overlap"], "1h or 7d", param="overlap"),
        store=keep in ("keyring", "file"), insecure=keep == "file",
    )  # fmt: skip


def changed_limits(user: str, before: Limits, values: Values) -> LimitsWish:
    """What of an account's limits shall be otherwise; an empty field takes one away.

    Raises:
        InvalidRequest: nothing shall.
    """
    after = limits(values)
    changed = {
        field: getattr(after, field) or 0  # 0 takes a limit away
        for field, _ in LIMITS
        if getattr(after, field) != getattr(before, field)
    }
    if not changed:
        raise InvalidRequest("Nothing is changed: type another limit, or leave with Esc.")
    return LimitsWish(name=user, **changed)


def invitation(values: Values) -> UserInvite:
    """A code to register with; with no limit said the gateway's own hold."""
    said = any(values[field] for field, _ in LIMITS)
    return UserInvite(
        expires_seconds=span(values["expires"], "12h, 7d or 4w", param="expires"),
        uses=count(values["uses"], "1 or 20", param="uses"),
        limits=limits(values) if said else None,
    )


def written(value: int | None) -> str:
    """A limit as it stands in its field."""
    return "" if value is None else exactly(value)
