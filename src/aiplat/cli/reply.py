"""One answer as a face receives it: its text as it comes, and what it came to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from aiplat.cli import output
from aiplat.cli.failures import Failure
from aiplat.control.client import Event
from aiplat.control.messages import Accepted, Ask
from aiplat.domain.answers import Delta, Finished, Queued, Started
from aiplat.domain.errors import AiplatError, ModelNotFound
from aiplat.engine.catalogue import canonical, known_names
from aiplat.runtime.reach import NodeClient


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
        events = client.ask(ask)
        try:
            for event in events:
                self._take(event)
        except AiplatError as error:
            exists = canonical(ask.model) in known_names()  # a mistyped name is none to start
            if isinstance(error, ModelNotFound) and exists and not ask.peer:
                error = _with_what_runs(error, client)
            raise Failure(error, request=self.request, text=self.text) from None
        finally:
            close = getattr(events, "close", None)
            if close is not None:
                close()

    def _take(self, event: Event) -> None:
        match event:
            case Accepted(request=request):
                self.request = request
            case Delta(text=text) if text:
                self._parts.append(text)
                self._on_text(text)
            case Queued(reason=reason) if reason and reason != self._why:
                self._why = reason
                self._say(f"Waiting: {output.flat(reason)}")
            case Started():
                self.started = event
            case Finished():
                self.finished = event

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


def _with_what_runs(error: ModelNotFound, client: NodeClient) -> AiplatError:
    """Add what the node here serves, and what to type for another model."""
    try:
        status = client.status()
    except AiplatError:
        return error
    serves = ", ".join(output.flat(model.name) for model in status.models) or "no model"
    way = (
        "`aiplat stop` ends it, and the next `aiplat ask` starts one with the model it names."
        if status.background
        else "End it, and start it with `aiplat serve --model NAME`."
    )
    return ModelNotFound(
        f"{error} The node that runs here (pid {status.pid}) serves {serves}. {way}",
        param=error.param,
    )
