"""A request's head, as far as hypercorn leaves its bounds and its meaning open.

h11 bounds a head while it is not whole: one that comes in one piece may be larger. And it takes a
body with two lengths, which is how one request is made to look like two to a proxy.
"""

from __future__ import annotations

from urllib.parse import unquote

from aiplat.domain.errors import InvalidRequest
from aiplat.http.asgi import Request
from aiplat.http.errors import HeadTooLarge
from aiplat.http.settings import HttpSettings
from aiplat.telemetry.metrics import Metrics

_EACH = 4
"""Bytes of a header besides its name and value: the colon, the space and the end of its line."""


class HeadBounds:
    """What a head may be.

    Arguments:
        settings: its bounds.
        metrics: where refusals are counted.
    """

    def __init__(self, settings: HttpSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._hits = metrics.bound_hits

    def check(self, request: Request) -> None:
        """Look at the head of a request.

        Raises:
            HeadTooLarge: says both sizes.
            InvalidRequest: its body would have two lengths.
        """
        most, size = self._settings.max_header_bytes, _size_of(request)
        if size > most:
            self._hits.labels("http_head").inc()
            raise HeadTooLarge(
                f"The request's line and headers have {size} bytes, but at most {most} are taken "
                "(http.max_header_bytes)."
            )
        lines, most = len(request.head), self._settings.max_headers
        if lines > most:
            self._hits.labels("http_head").inc()
            raise HeadTooLarge(
                f"The request has {lines} headers, but at most {most} are taken (http.max_headers)."
            )
        headers = request.headers
        if b"transfer-encoding" in headers and b"content-length" in headers:
            raise InvalidRequest(
                "The request has both a Content-Length and a Transfer-Encoding: send one of them."
            )


def _size_of(request: Request) -> int:
    size = len(request.method) + len(request.target) + len(request.query)
    return size + sum(len(name) + len(value) + _EACH for name, value in request.head)


def take_absolute(request: Request) -> None:
    """Read a target that names its host too, as for a proxy; that is then the `Host`.

    Source: RFC 9112, 3.2.2.
    """
    target = request.target
    if not target.startswith((b"http://", b"https://")):
        return
    host, slash, path = target.partition(b"://")[2].partition(b"/")
    request.headers[b"host"] = host
    request.path = unquote((slash + path).decode("latin-1")) or "/"
