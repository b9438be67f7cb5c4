"""The JSON of a request, and its fields one by one, with errors that name field and value."""

from __future__ import annotations

import math
import re
from typing import TypeVar

import msgspec

from aiplat.domain.errors import InvalidRequest, clip
from aiplat.http.asgi import Request
from aiplat.http.errors import WrongMediaType
from aiplat.http.settings import HttpSettings

Wanted = TypeVar("Wanted", bound=msgspec.Struct)

_HUGE = 2**64


async def read_json(request: Request, settings: HttpSettings, *, said: bool = True) -> bytes:
    """Read a body that is JSON; it is not yet parsed.

    Arguments:
        request: whose body it is.
        settings: bounds.
        said: whether it must say that it is JSON.

    Raises:
        WrongMediaType: it says otherwise, or is packed.
        RequestTooLarge, SlowBody, ClientGone: as `Request.body`.
    """
    if said:
        check_media(request)
    else:
        _check_packing(request)
    bound = settings.max_body_bytes
    return await request.body(bound, settings.body_seconds, "http.max_body_bytes")


async def read_wish(request: Request, settings: HttpSettings, wanted: type[Wanted]) -> Wanted:
    """Read what a face asks on the control socket.

    Raises:
        InvalidRequest: it does not fit.
        WrongMediaType, RequestTooLarge, SlowBody, ClientGone: as `read_json`.
    """
    check_media(request)
    bound = settings.max_control_bytes
    body = await request.body(bound, settings.body_seconds, "http.max_control_bytes")
    return decode(body, wanted)


def check_media(request: Request) -> None:
    """Raise `WrongMediaType` for a body that does not say it is plain JSON."""
    media, _, parameters = request.header(b"content-type").partition(";")
    if media.strip().lower() != "application/json":
        raise WrongMediaType(
            f"Content-Type must be application/json, but is {clip(media) or 'not given'!r}."
        )
    charset = parameters.lower().replace('"', "").partition("charset=")[2].strip()
    if charset not in ("", "utf-8", "utf8"):
        raise WrongMediaType(f"JSON is always UTF-8 here, but its charset is {clip(charset)!r}.")
    _check_packing(request)


def _check_packing(request: Request) -> None:
    packing = request.header(b"content-encoding")
    if packing.lower() not in ("", "identity"):
        raise WrongMediaType(f"Send the body as it is: {clip(packing)!r} is not unpacked here.")


def parse_object(body: bytes) -> dict[str, object]:
    """Parse a JSON object (RFC 8259) of any fields.

    Raises:
        InvalidRequest: it is not valid UTF-8, not JSON, nested too deeply, or no object.
    """
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"The body is not valid UTF-8: byte {error.start} does not fit."
        ) from None
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise InvalidRequest("The body's JSON is nested too deeply.") from None
    except (msgspec.MsgspecError, ValueError) as error:
        why = clip(str(error), 120)
        if "truncated" in why and _HALF.search(body):  # so it says of one at a text's end
            why = "a text in it ends in half of a character, such as \\ud83d"
        raise InvalidRequest(f"The body is not valid JSON: {why}.") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"The body must be a JSON object, but is {shown(value)}.")
    return value


_HALF = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")


def shown(value: object) -> str:
    """A value as a sentence can hold it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return repr(clip(value))
        case int() if abs(value) >= _HUGE:
            return "a number with more than 64 bits"
        case int() | float():
            return repr(value)
        case list():
            return f"an array of {len(value)}"
        case _:
            return "an object"


class Fields:
    """The fields of a JSON object. What is null counts as not given.

    Arguments:
        values: the object.
        where: its own place in the request, such as ``messages[0]``.
    """

    def __init__(self, values: dict[str, object], where: str = "") -> None:
        self._values = values
        self._where = where

    def path(self, name: str) -> str:
        """The name of a field from the request's root."""
        return f"{self._where}.{name}" if self._where else name

    def raw(self, name: str) -> object:
        """A field as it is; None when it is not given."""
        return self._values.get(name)

    def wrong(self, name: str, wanted: str) -> InvalidRequest:
        """The error for a field that is not `wanted`."""
        path = self.path(name)
        return InvalidRequest(
            f"{path} must be {wanted}, but is {shown(self._values.get(name))}.", param=path
        )

    def number(self, name: str) -> float | None:
        """A field that holds a number."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(name, "a number")
        if abs(value) >= _HUGE or not math.isfinite(value):
            raise self.wrong(name, "a number of a sensible size")
        return float(value)

    def integer(self, name: str) -> int | None:
        """A field that holds a whole number."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(name, "a whole number")
        if abs(value) >= _HUGE:
            raise self.wrong(name, "a whole number of at most 64 bits")
        return value

    def flag(self, name: str) -> bool | None:
        """A field that holds true or false."""
        value = self._values.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise self.wrong(name, "true or false")

    def text(self, name: str) -> str | None:
        """A field that holds a string."""
        value = self._values.get(name)
        if value is None or isinstance(value, str):
            return value
        raise self.wrong(name, "a string")

    def array(self, name: str) -> list[object] | None:
        """A field that holds an array."""
        value = self._values.get(name)
        if value is None or isinstance(value, list):
            return value
        raise self.wrong(name, "an array")

    def inner(self, name: str) -> Fields | None:
        """A field that holds an object."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return Fields(value, self.path(name))

    def needed(self, name: str) -> Fields:
        """A field that must hold an object."""
        return object_at(self._values.get(name), self.path(name))


def object_at(value: object, path: str) -> Fields:
    """A value of a request that must be an object, such as one of an array.

    Arguments:
        value: it.
        path: its place in the request.

    Raises:
        InvalidRequest: it is none.
    """
    if not isinstance(value, dict):
        raise InvalidRequest(f"{path} must be an object, but is {shown(value)}.", param=path)
    return Fields(value, path)


def decode(body: bytes, wanted: type[Wanted]) -> Wanted:
    """A JSON body as a struct; an empty one stands for no fields.

    Raises:
        InvalidRequest: it does not fit.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=wanted)
    except RecursionError:
        raise InvalidRequest("The body's JSON is nested too deeply.") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidRequest(f"The body does not fit: {clip(str(error), 200)}.") from None
