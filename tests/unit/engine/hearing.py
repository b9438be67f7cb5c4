"""What the engine's tests share: a sink that keeps all, and a request in one line."""

from __future__ import annotations

from typing import Any

from aiplat.domain.answers import AnswerEvent, Delta, Failed, Finished, Started, Submission
from aiplat.domain.chat import Generate, Message, Sampling


class Heard:
    """A sink that keeps all."""

    def __init__(self) -> None:
        self.events: list[AnswerEvent] = []

    def deliver(self, event: AnswerEvent) -> None:
        """Take the next event."""
        assert not self.ended, f"{event} came after the end"
        self.events.append(event)

    @property
    def ended(self) -> bool:
        """Whether an end came."""
        return bool(self.events) and isinstance(self.events[-1], Finished | Failed)

    @property
    def started(self) -> Started:
        """The one `Started`."""
        (started,) = [event for event in self.events if isinstance(event, Started)]
        return started

    @property
    def deltas(self) -> list[Delta]:
        """All deltas."""
        return [event for event in self.events if isinstance(event, Delta)]

    @property
    def text(self) -> str:
        """What was said."""
        return "".join(delta.text for delta in self.deltas)

    @property
    def ids(self) -> list[int]:
        """The tokens of what was said."""
        return [token for delta in self.deltas for token in delta.ids]

    @property
    def finished(self) -> Finished:
        """The good end."""
        end = self.events[-1]
        assert isinstance(end, Finished), end
        return end

    @property
    def failed(self) -> Failed:
        """The bad end."""
        end = self.events[-1]
        assert isinstance(end, Failed), end
        return end


_TOP = ("privacy", "credit", "fairness", "deadline_ms", "resume", "model")


def asking(text: str, **options: Any) -> Submission:
    """A submission to a processor; options are fields of it or of its sampling."""
    top = {name: options.pop(name) for name in _TOP if name in options}
    work = Generate((Message("user", text),), Sampling(**options))
    return Submission(id="req-" + "0" * 24, to="processor", work=work, **top)
