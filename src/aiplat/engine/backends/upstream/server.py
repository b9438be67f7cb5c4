"""The one HTTP client of an upstream: asks for its models, and opens the streams of answers.

TLS is always verified, redirects are never followed, and nothing that comes is unpacked.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.request import getproxies

import httpx
import msgspec
import trio

import aiplat
from aiplat.domain.errors import AiplatError, DeadlineExceeded, EngineFailed, clip
from aiplat.engine.backends.upstream.address import Address
from aiplat.engine.backends.upstream.body import Dialect
from aiplat.engine.backends.upstream.connections import Connections
from aiplat.engine.backends.upstream.key import Key
from aiplat.engine.backends.upstream.pieces import beginning
from aiplat.engine.backends.upstream.settings import UpstreamSettings

MAX_LIST = 4 * 1024 * 1024
MAX_ERROR = 64 * 1024
_IDLE_SECONDS = 3.0
"""Servers close what is idle for five seconds; a request shall not meet that."""


class Unanswered(Exception):
    """The server was not reached, or broke off: why, as a clause without its host."""


class Answered(Exception):
    """The server answered, but not with what was asked for.

    Arguments:
        status: of the answer.
        headers: by names in lower case.
        body: the beginning of it, without the key.
    """

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status, self.headers, self.body = status, headers, body


class Server:
    """An upstream, as its requests reach it. Its connections are kept and shared.

    Arguments:
        address: where it is.
        key: what it is shown.
    """

    def __init__(self, address: Address, key: Key, settings: UpstreamSettings) -> None:
        self.address = address
        self.key = key
        self.dialect = Dialect()
        """As it was learnt from what it refused."""
        self._settings = settings
        connect = settings.connect_seconds
        self._client = httpx.AsyncClient(
            headers={
                **key.headers,
                "accept-encoding": "identity",
                "user-agent": f"aiplat/{aiplat.__version__}",
            },
            # The other stages have deadlines of their own (`exchange`).
            timeout=httpx.Timeout(None, connect=connect, write=connect),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=_IDLE_SECONDS),
            trust_env=address.trusts_environment,
            follow_redirects=False,
            transport=_transport_to(address),
        )

    async def close(self) -> None:
        """Let go of its connections."""
        with trio.CancelScope(shield=True):
            await self._client.aclose()

    async def list_models(self) -> bytes:
        """The body of ``GET /models``.

        Raises:
            Unanswered: there is no answer, or not in time.
            Answered: its status is not 200.
        """
        seconds = self._settings.list_seconds
        with trio.move_on_after(seconds):
            async with self._send("GET", "/models", None) as response:
                if response.status_code != 200:
                    raise await self._unwanted(response)
                return await beginning(response, MAX_LIST)
        raise Unanswered(f"did not list its models within {seconds:g} s (upstream.list_seconds)")

    async def show(self, model: str) -> bytes:
        """What an Ollama says of a model; nothing where it is none that does.

        Raises:
            Unanswered: there is no answer, or not in time.
        """
        body, root = msgspec.json.encode({"model": model}), self.address.base.removesuffix("/v1")
        seconds = self._settings.list_seconds
        with trio.move_on_after(seconds):
            async with self._send("POST", "/api/show", body, root) as response:
                return await beginning(response, MAX_LIST) if response.status_code == 200 else b""
        raise Unanswered(f"did not show a model within {seconds:g} s (upstream.list_seconds)")

    @asynccontextmanager
    async def chat(self, body: bytes, *, bare: bool = False) -> AsyncIterator[httpx.Response]:
        """Open the stream of an answer; leaving the block closes it at once.

        Arguments:
            bare: whether it goes on with a text, rather than with a conversation.

        Raises:
            Unanswered: there is no answer, or it breaks off, in the block too.
            Answered: it is no stream of events.
        """
        path = "/completions" if bare else "/chat/completions"
        async with self._send("POST", path, body) as response:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            packed = response.headers.get("content-encoding", "identity").lower()
            is_stream = kind in ("", "text/event-stream") and packed == "identity"
            if response.status_code != 200 or not is_stream:
                raise await self._unwanted(response)
            yield response

    async def embed(self, body: bytes, most: int) -> bytes:
        """The body of an answer of ``POST /embeddings``, or its first `most` bytes.

        Raises:
            Unanswered: there is no answer, or it breaks off.
            Answered: its status is not 200.
        """
        async with self._send("POST", "/embeddings", body) as response:
            if response.status_code != 200:
                raise await self._unwanted(response)
            return await beginning(response, most)

    @asynccontextmanager
    async def _send(
        self, method: str, path: str, body: bytes | None, base: str = ""
    ) -> AsyncIterator[httpx.Response]:
        headers = {} if body is None else {"content-type": "application/json"}
        response: httpx.Response | None = None
        try:
            async with self._client.stream(
                method, (base or self.address.base) + path, content=body, headers=headers
            ) as response:
                yield response
        except httpx.ConnectTimeout:
            seconds = self._settings.connect_seconds
            raise Unanswered(
                f"could not be connected to within {seconds:g} s (upstream.connect_seconds)"
            ) from None
        except httpx.ConnectError as error:
            raise Unanswered(_why_not_connected(error)) from None
        except httpx.HTTPError as error:
            raise Unanswered(_why_broken(error)) from None
        finally:
            if response is not None:  # httpx's two hold each other, and the prompt that was sent
                response.stream = _CLOSED

    async def _unwanted(self, response: httpx.Response) -> Answered:
        body = b""
        with trio.move_on_after(self._settings.connect_seconds):
            body = await beginning(response, MAX_ERROR)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answered(response.status_code, headers, self.key.scrubbed(body))


_CLOSED = httpx.ByteStream(b"")


def _transport_to(address: Address) -> httpx.AsyncBaseTransport | None:
    """What is sent by; None leaves it to httpx, which knows the environment's proxies."""
    if address.trusts_environment and {"https", "all"} & set(getproxies()):
        return None
    tls = httpx.create_ssl_context(trust_env=address.trusts_environment) if address.is_tls else None
    return Connections(_IDLE_SECONDS, tls)


def _why_not_connected(error: BaseException) -> str:
    """Find the reason beneath the layers that wrap it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"shows a certificate that is not valid ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return f"does not speak TLS as it should ({clip(cause.reason or 'no reason', 60)})"
        if isinstance(cause, socket.gaierror):
            return "does not answer (its name is not known)"
        if isinstance(cause, OSError) and cause.errno:  # its own text has the address
            return f"does not answer ({os.strerror(cause.errno).lower()})"
        if isinstance(cause, BaseExceptionGroup) and cause.exceptions:
            cause = cause.exceptions[0]
            continue
        cause = cause.__cause__ or cause.__context__
    return "does not answer (it cannot be connected to)"


def _why_broken(error: httpx.HTTPError) -> str:
    text = str(error)
    if "incomplete chunked read" in text:
        return "broke off in the middle of its answer"
    if "without sending complete message body" in text:
        return f"sent less than it announced{clip(text.rpartition('body')[2], 80)}"
    if "without sending a response" in text:
        return "closed the connection without an answer"
    if isinstance(error, httpx.ProxyError):
        return "is behind a proxy that refuses to reach it"
    if isinstance(error, httpx.RemoteProtocolError):
        return f"does not speak HTTP as it should ({clip(text, 100)})"
    return "broke the connection"


def failed(model: str, why: str) -> AiplatError:
    """The error of a request that the upstream did not answer: it may succeed elsewhere."""
    return EngineFailed(f"The upstream of {model} {why}.", retry_after=5)


def late(model: str, what: str, seconds: float, setting: str) -> AiplatError:
    """The error of a stage that took too long; another processor may be quicker."""
    return DeadlineExceeded(
        f"Waited {seconds:g} s for {what} from the upstream of {model}, the limit "
        f"(upstream.{setting}).",
        retry_after=5,
        recoverable=True,
    )
