"""Finds servers of models that run on this machine already: Ollama, and llama.cpp's.

Each is told by its own answers, not by its port. Nothing beyond this machine is asked.
Sources: Ollama's API (``/api/version``, ``/api/tags``); llama.cpp's server (``owned_by``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from aiplat.domain.errors import ConfigError, clip
from aiplat.engine.backends.upstream.address import parse_address
from aiplat.engine.backends.upstream.body import LLAMA_CPP, OLLAMA
from aiplat.engine.backends.upstream.listing import read_models

if TYPE_CHECKING:
    import httpx

_MOST = 1024 * 1024
_WORDS = {OLLAMA: "Ollama", LLAMA_CPP: "a llama.cpp server"}


class Found(msgspec.Struct, frozen=True):
    """A server of this machine.

    Arguments:
        kind: of it.
        url: what `--upstream` takes.
        models: how many it has.
    """

    kind: str
    url: str
    models: int

    def __str__(self) -> str:
        """Name it, with its models."""
        count = "1 model" if self.models == 1 else f"{self.models} models"
        return f"{_WORDS[self.kind]} with {count}"


def check_places(places: Sequence[str]) -> None:
    """Raise `ConfigError` for a place that is not on this machine."""
    for place in places:
        if not parse_address(place).is_loopback:
            raise ConfigError(
                f"upstream.auto_places holds {clip(place)!r}, which is not on this machine: name "
                "it as upstream.url instead."
            )


async def find(places: Sequence[str], seconds: float) -> list[Found]:
    """Look at each of `places` (URLs without a path), all at once, for so many seconds at most."""
    found: dict[str, Found] = {}

    async def look(place: str) -> None:
        one = await _look(place)
        if one is not None:
            found[place] = one

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for place in places:
                nursery.start_soon(look, place)
    return [found[place] for place in places if place in found]


async def _look(place: str) -> Found | None:
    if not await _listens(place):
        return None
    import httpx  # here: most machines have nobody there, and this takes a tenth of a second

    try:
        # No proxy of the environment: what is on this machine is asked directly.
        async with httpx.AsyncClient(trust_env=False, verify=True, timeout=None) as client:
            return await _identify(client, place.rstrip("/"))
    except (httpx.HTTPError, httpx.InvalidURL):
        return None


async def _listens(place: str) -> bool:
    host, _, port = parse_address(place).host.rpartition(":")
    try:
        stream = await trio.open_tcp_stream(host.strip("[]"), int(port))
    except (OSError, ValueError):
        return False
    await stream.aclose()
    return True


async def _identify(client: httpx.AsyncClient, place: str) -> Found | None:
    url = f"{place}/v1"
    version = await _json(client, f"{place}/api/version")
    if isinstance(version, dict) and isinstance(version.get("version"), str):
        tags = await _json(client, f"{place}/api/tags")
        models = tags.get("models") if isinstance(tags, dict) else None
        if isinstance(models, list):
            return Found(OLLAMA, url, len(models))
    listed = read_models(await _get(client, f"{url}/models")) or ()
    if any(one.kind == LLAMA_CPP for one in listed):
        return Found(LLAMA_CPP, url, len(listed))
    return None


async def _json(client: httpx.AsyncClient, url: str) -> Any:
    try:
        return msgspec.json.decode(await _get(client, url))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


async def _get(client: httpx.AsyncClient, url: str) -> bytes:
    """The body of a good answer; nothing of any other."""
    body = b""
    async with client.stream("GET", url, headers={"accept-encoding": "identity"}) as response:
        if response.status_code != 200:
            return b""
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > _MOST:
                return b""
    return body
