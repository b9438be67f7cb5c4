"""``/v1/responses/{id}`` and what is below it: stored answers, read and deleted."""

from __future__ import annotations

from urllib.parse import parse_qs

import msgspec

from aiplat.domain.errors import InvalidRequest, UnsupportedParameter, clip
from aiplat.http.asgi import Request
from aiplat.http.errors import NoSuchRoute, WrongMethod
from aiplat.http.openai_api.responses.items import Item
from aiplat.http.openai_api.responses.kept import Kept, body_of
from aiplat.http.openai_api.responses.refused import check_includable

PREFIX = "/v1/responses/"
_MAX_PAGE = 100
_PAGE = 20


class ItemPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of an answer's input items."""

    object: str = "list"
    data: tuple[Item, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Stored:
    """The routes.

    Arguments:
        kept: the stored answers.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def get(self, request: Request) -> None:
        """Answer with a stored answer, or with its input items."""
        answer, below = _named(request)
        query = _query(request)
        if below == "input_items":
            await self._items(request, answer, query)
            return
        if below:
            raise _nothing_below(request)
        if query.get("stream", "false") != "false" or "starting_after" in query:
            raise UnsupportedParameter(
                "A stored answer is not given as a stream here: leave stream and starting_after "
                "out.",
                param="stream" if "stream" in query else "starting_after",
            )
        found = await self._kept.read(request, answer)
        await request.reply(200, msgspec.json.encode(body_of(found)))

    async def delete(self, request: Request) -> None:
        """Delete a stored answer for good."""
        answer, below = _named(request)
        if below:
            raise _nothing_below(request)
        await self._kept.delete(request, answer)
        body = {"id": answer, "object": "response", "deleted": True}
        await request.reply(200, msgspec.json.encode(body))

    async def post(self, request: Request) -> None:
        """Refuse to cancel: as at OpenAI, that is for answers in the background alone."""
        answer, below = _named(request)
        if below != "cancel":
            if below:
                raise _nothing_below(request)
            raise WrongMethod(
                f"POST does not work on {clip(request.path)}, but DELETE, GET does.", "DELETE, GET"
            )
        found = await self._kept.read(request, answer)
        raise InvalidRequest(
            f"The answer {clip(found.id)} cannot be cancelled: only one with background: true can "
            "be, which this server does not give. An answer under way ends when its connection is "
            "closed.",
            param="response_id",
        )

    async def _items(self, request: Request, answer: str, query: dict[str, str]) -> None:
        limit, after = _limit(query), query.get("after")
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise InvalidRequest(
                f"order must be 'asc' or 'desc', but is {clip(order)!r}.", param="order"
            )
        items = list(await self._kept.items(request, answer))
        if order == "desc":
            items.reverse()
        if after is not None:
            places = [place for place, item in enumerate(items) if item.id == after]
            if not places:
                raise InvalidRequest(
                    f"after is {clip(after)!r}, which is none of the answer's items.",
                    param="after",
                )
            items = items[places[0] + 1 :]
        page = tuple(items[:limit])
        body = ItemPage(
            data=page,
            first_id=page[0].id if page else None,
            last_id=page[-1].id if page else None,
            has_more=len(items) > limit,
        )
        await request.reply(200, msgspec.json.encode(body))


def _named(request: Request) -> tuple[str, str]:
    """The id in the path, and what stands below it."""
    name, _, below = request.path.removeprefix(PREFIX).partition("/")
    if not name:
        raise _nothing_below(request)
    return name, below


def _nothing_below(request: Request) -> NoSuchRoute:
    return NoSuchRoute(
        f"There is nothing at {clip(request.path)}. Of an answer there are {PREFIX}{{id}} and "
        f"{PREFIX}{{id}}/input_items."
    )


def _query(request: Request) -> dict[str, str]:
    """The parameters behind the path, each once; what is asked to be included is checked."""
    try:
        pairs = parse_qs(request.query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise InvalidRequest("The query has more than 100 parameters.") from None
    for name in ("include", "include[]"):
        check_includable(pairs.pop(name, []), name)
    found: dict[str, str] = {}
    for name, values in pairs.items():
        if len(values) > 1:
            raise InvalidRequest(f"{clip(name)} stands twice in the query.", param=clip(name))
        found[name] = values[0]
    return found


def _limit(query: dict[str, str]) -> int:
    text = query.get("limit", str(_PAGE))
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
    if not 1 <= number <= _MAX_PAGE:
        raise InvalidRequest(
            f"limit must be from 1 to {_MAX_PAGE}, but is {clip(text)!r}.", param="limit"
        )
    return number
