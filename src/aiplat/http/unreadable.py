"""What is said to bytes that are no request, where hypercorn says nothing but a status. Pure."""

from __future__ import annotations

import re

from aiplat.domain.errors import clip
from aiplat.http.errors import (
    HeadTooLarge,
    Problem,
    UnknownCoding,
    UnreadableRequest,
    problem_of,
)

_MOST_REASON = 120
_QUOTED = re.compile(r"\s*(bytearray\()?b['\"].*", re.S)


def problem_with(reason: str, status: int, most_head: int, *, is_body: bool) -> Problem:
    """Say why nothing can be made of what came.

    Arguments:
        reason: h11's words. What it quotes is left out: it may be a key.
        status: the one that h11 finds right.
        most_head: bytes that a request's line and headers may have, and what stands before a chunk.
        is_body: whether the head was read, and it is about its body.
    """
    if status == HeadTooLarge.kind[0] and is_body:
        return problem_of(
            UnreadableRequest(
                "What stands before a chunk of the body, or behind its last one, has more than "
                f"{most_head} bytes: send the chunk's length alone."
            )
        )
    if status == HeadTooLarge.kind[0]:
        return problem_of(
            HeadTooLarge(
                f"The request's line and headers have more than {most_head} bytes, which are all "
                "that is taken (http.max_header_bytes)."
            )
        )
    if status == UnknownCoding.kind[0]:
        return problem_of(
            UnknownCoding(
                "The request's Transfer-Encoding is none that is known here: send the body "
                "'chunked', or with a Content-Length."
            )
        )
    told = clip(_QUOTED.sub("", reason).rstrip(" .:"), _MOST_REASON)
    return problem_of(
        UnreadableRequest(f"This is no request of HTTP/1.1 that can be read: {told}.")
    )
