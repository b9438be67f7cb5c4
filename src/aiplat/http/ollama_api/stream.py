"""An answer's events as the lines of Ollama's stream (NDJSON). Pure: events in, bytes out.

Ollama keeps no waiting stream alive, as its format has no comment. A call of a tool is told when it
is whole.
"""

from __future__ import annotations

from aiplat.domain.answers import CallPiece, Delta, Finished
from aiplat.http.answer_stream import AnswerStream
from aiplat.http.ollama_api.rendering import Lines
from aiplat.http.openai_api.rendering import ContentLogprob, logprobs_of
from aiplat.http.said import Called

NDJSON = b"application/x-ndjson"


class LineStream(AnswerStream):
    """Turns batches of events into what is written (`EventStream`).

    Arguments:
        lines: makes the lines.
    """

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines
        self._out: list[bytes] = []
        self._text: list[str] = []
        self._logprobs: list[ContentLogprob] = []
        self._call: list[CallPiece] = []

    def comment(self) -> bytes:
        """Nothing: there are no comments."""
        return b""

    def _take(self, delta: Delta) -> None:
        if delta.text:
            self._text.append(delta.text)
        logprobs = logprobs_of([delta])
        if logprobs is not None:
            self._logprobs += logprobs.content
        for piece in delta.calls:
            if self._call and piece.index != self._call[0].index:
                self._end_call()
            self._call.append(piece)

    def _flush(self) -> None:
        if self._text or self._logprobs:
            self._write(self._lines.piece("".join(self._text), (), self._logprobs))
            self._text, self._logprobs = [], []

    def _end_call(self) -> None:
        """Write the call that is whole now, behind the text that came before its end."""
        self._flush()
        name = "".join([piece.name for piece in self._call])
        arguments = "".join([piece.arguments for piece in self._call])
        self._write(self._lines.piece("", [Called(self._call[0].index, name, arguments)]))
        self._call = []

    def _finish(self, event: Finished) -> None:
        end = self._lines.end(event)
        if self._call:
            self._end_call()
        self._flush()
        self._write(self._lines.piece("", end=end))

    def _given(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)

    def _write(self, line: bytes) -> None:
        self._out.append(line + b"\n")
