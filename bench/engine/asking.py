"""Asks a server that speaks the OpenAI API, and notes when what came. Blocking, with threads."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SECONDS = 300.0
"""For one answer, whatever happens."""

Messages = list[dict[str, str]]


@dataclass
class Speaking:
    """How a server is spoken to.

    Arguments:
        url: ``http://host:port``.
        model: what it calls the model.
        more: fields of each request that this server wants besides.
        headers: of each request.
    """

    url: str
    model: str
    more: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Answer:
    """One answer: seconds on one clock, tokens as the server counted them, and its text."""

    sent: float
    first: float = 0.0
    last: float = 0.0
    ended: float = 0.0
    prompt_tokens: int = 0
    tokens: int = 0
    text: str = ""

    @property
    def ttft(self) -> float:
        """Seconds until the first text."""
        return self.first - self.sent

    @property
    def decoding(self) -> float:
        """Tokens a second after the first."""
        return (self.tokens - 1) / (self.last - self.first) if self.last > self.first else 0.0


class Refused(Exception):
    """The server did not answer as it should; says how."""


def ask(speaking: Speaking, messages: Messages, tokens: int, seconds: float = SECONDS) -> Answer:
    """Ask, and read the answer to its end.

    Arguments:
        tokens: of the answer at most.
        seconds: for all of it.

    Raises:
        Refused, OSError: it failed.
    """
    host, port = speaking.url.removeprefix("http://").rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=seconds)
    body = {"model": speaking.model, "messages": messages, "max_tokens": tokens, "stream": True}
    headers = {"Content-Type": "application/json"} | speaking.headers
    try:
        answer = Answer(time.perf_counter())
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(body | speaking.more), headers
        )
        response = connection.getresponse()
        if response.status != 200:
            raise Refused(f"HTTP {response.status}: {response.read(500).decode(errors='replace')}")
        _hear(response, answer, answer.sent + seconds)
        return answer
    finally:
        connection.close()


def _hear(response: http.client.HTTPResponse, answer: Answer, until: float) -> None:
    while line := response.readline():
        now = time.perf_counter()
        if now > until:
            raise Refused(f"no end within {until - answer.sent:g} s")
        data = line.removeprefix(b"data: ").strip()
        if not line.startswith(b"data: ") or data == b"[DONE]":
            continue
        _note(json.loads(data), answer, now)
    answer.ended = time.perf_counter()
    if not answer.first or not answer.tokens:
        raise Refused("the answer was empty, or its tokens were not counted")


def _note(event: dict[str, Any], answer: Answer, now: float) -> None:
    if "error" in event:
        raise Refused(f"an error in the stream: {str(event['error'])[:500]}")
    for choice in event.get("choices", ()):
        text = choice.get("delta", {}).get("content")
        if text:
            answer.first = answer.first or now
            answer.last = now
            answer.text += text
    usage = event.get("usage")
    if usage:
        answer.prompt_tokens = usage["prompt_tokens"]
        answer.tokens = usage["completion_tokens"]


def together(
    speaking: Speaking, wanted: Sequence[tuple[Messages, int, float]], seconds: float = SECONDS
) -> list[Answer]:
    """Ask several at once, each in a thread that dies with the program; the answers in order.

    Arguments:
        wanted: of each its messages, its most tokens, and the seconds after which it is asked.

    Raises:
        Refused, OSError: the first that failed, when all are over.
    """
    got: list[Answer | Exception] = [Refused("no answer in time")] * len(wanted)
    start = threading.Barrier(len(wanted) + 1)

    def one(place: int) -> None:
        messages, tokens, after = wanted[place]
        start.wait()
        time.sleep(after)
        try:
            got[place] = ask(speaking, messages, tokens, seconds)
        except Exception as error:  # noqa: BLE001  # raised again in the thread that asked for it
            got[place] = error

    threads = [threading.Thread(target=one, args=(n,), daemon=True) for n in range(len(wanted))]
    for thread in threads:
        thread.start()
    start.wait()
    until = time.perf_counter() + seconds + max(after for *_, after in wanted) + 5
    for thread in threads:
        thread.join(max(0.0, until - time.perf_counter()))
    answers = []
    for answer in got:
        if isinstance(answer, Exception):
            raise answer
        answers.append(answer)
    return answers
