"""What a form brings: its fields, read within bounds, and kept for when it is shown again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.requests import Request

from aiplat.domain import amounts
from aiplat.domain.accounts import Limits
from aiplat.domain.errors import AiplatError, InvalidRequest, clip

_MAX_FIELDS = 10_000
_URLENCODED = "application/x-www-form-urlencoded"
LIMITS = tuple(Limits.__struct_fields__)


class WrongForm(AiplatError):
    """It is no form that these pages have."""

    code = "invalid_request"


class Form:
    """The fields of a form, each with all its values.

    Arguments:
        values: by the fields' names.
    """

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        """A field's value, as it was typed."""
        values = self._values.get(name)
        return values[0] if values else default

    def line(self, name: str) -> str:
        """The same without spaces around it."""
        return self.text(name).strip()

    def all(self, name: str) -> tuple[str, ...]:
        """All values of a field."""
        return tuple(self._values.get(name, ()))

    def is_set(self, name: str) -> bool:
        """Whether a box was ticked, or a field filled in."""
        return bool(self.text(name))

    def whole(self, name: str, low: int, high: int, what: str) -> int:
        """A whole number within bounds.

        Raises:
            InvalidRequest: it is none, or outside of them.
        """
        typed = self.line(name)
        if not typed.isascii() or not typed.isdigit() or not low <= int(typed[:20]) <= high:
            raise InvalidRequest(
                f"{what} must be a whole number from {low} to {high}, but is {clip(typed)!r}.",
                param=name,
            )
        return int(typed[:20])

    def decimal(self, name: str, what: str) -> float | None:
        """A number; None for an empty field. Its bounds are checked where it is used.

        Raises:
            InvalidRequest: it is none.
        """
        typed = self.line(name)
        if not typed:
            return None
        try:
            return float(typed[:40])
        except ValueError:
            raise InvalidRequest(
                f"{what} must be a number such as 0.7, but is {clip(typed)!r}.", param=name
            ) from None

    def limits(self) -> Limits:
        """The four fields of limits, where an empty one is no limit.

        Raises:
            InvalidRequest: one is no count.
        """
        return Limits(**{name: self._limit(name) for name in LIMITS})

    def _limit(self, name: str) -> int | None:
        typed = self.line(name).replace(",", "")
        if typed.lower() in ("", "none"):
            return None
        return amounts.count(typed, "20000, 20k or 1.5M, or leave it empty", param=name)


NOTHING = Form({})


@dataclass(frozen=True)
class Problem:
    """Why a form was not taken.

    Arguments:
        form: which one of its page.
        message: a sentence for a person.
        param: the field that is at fault, if it is one.
        status: of HTTP.
        headers: that go with it.
    """

    form: str = ""
    message: str = ""
    param: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


FINE = Problem()


def read_form(request: Request, body: bytes) -> Form:
    """Read the fields out of a body (URL Standard, 5.1).

    Raises:
        WrongForm: it is of another kind, such as multipart, or has too many fields.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _URLENCODED:
        raise WrongForm(
            f"A form comes as {_URLENCODED}, but this one as {clip(kind) or 'nothing that is said'}"
            "."
        )
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        raise WrongForm(f"A form has at most {_MAX_FIELDS} fields, but this one more.") from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return Form(values)
