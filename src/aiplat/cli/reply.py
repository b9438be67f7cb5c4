"""One answer as a face receives it: its text as it comes, and what it came to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from aiplat.cli.failures import Failure
from aiplat.control.messages import Ask
from aiplat.domain.answers import Delta, Failed, Finished, Queued, Started
from aiplat.domain.errors import GatewayLost
from aiplat.runtime.reach import Answering, NodeClient


class Reply:
    """The answer to one `Ask`.

    Arguments:
        on_text: gets each piece of text as it comes.
        say: hears why it waits.
    """

    def __init__(self, on_text: Callable[[str], None], say: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._say = say
        self._parts: list[str] = []
        self._why = ""
        self.request = ""
        self.started: Started | None = None
        self.finished: Finished | None = None

    @property
    def text(self) -> str:
        """What came so far."""
        return "".join(self._parts)

    def run(self, client: NodeClient, ask: Ask) -> None:
        """Ask, and take the answer to its end; left early, the request is cancelled.

        Raises:
            Failure: it was refused or broke off; holds the request's name and the text so far.
            KeyboardInterrupt: a person had enough; `text` keeps what came.
        """
        answering = client.ask(ask)
        try:
            self.request = answering.request
            self._take(answering)
        finally:
            answering.close()

    def _take(self, answering: Answering) -> None:
        for event in answering:
            match event:
                case Delta(text=text) if text:
                    self._parts.append(text)
                    self._on_text(text)
                case Queued(reason=reason) if reason and reason != self._why:
                    self._why = reason
                    self._say(f"Waiting: {reason}")
                case Started():
                    self.started = event
                case Finished():
                    self.finished = event
                case Failed():
                    raise Failure(event.error(), request=self.request, text=self.text)
        if self.finished is None:
            lost = GatewayLost("The node ended the answer without saying why. Ask again.")
            raise Failure(lost, request=self.request, text=self.text)

    def as_json(self) -> dict[str, Any]:
        """Write the whole answer for a program."""
        started, finished = self.started, self.finished
        made: dict[str, Any] = {
            "text": self.text,
            "model": started.manifest.name if started else None,
            "gateway": started.gateway if started else None,
            "processor": started.processor if started else None,
            "usage": None,
            "request": self.request,
        }
        if finished is not None:
            usage = finished.usage
            made["usage"] = {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "total_tokens": usage.total_tokens,
                "cached_tokens": usage.cached_tokens,
                "exact": usage.exact,
            }
            made["finish_reason"] = finished.reason
            made["timings"] = msgspec.structs.asdict(finished.timings)
        return made
