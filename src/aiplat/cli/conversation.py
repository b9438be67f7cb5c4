"""A conversation in lines: keeps its messages, and goes on after an answer that was stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from aiplat.cli import output
from aiplat.cli.failures import DONE, Failure, as_json, exit_code
from aiplat.cli.reply import Reply
from aiplat.control.client import NoNode
from aiplat.control.messages import Ask
from aiplat.domain.chat import Message
from aiplat.domain.errors import AiplatError, ContextLengthExceeded, InvalidRequest
from aiplat.runtime.reach import NodeClient

LEAVE = ("exit", "quit", "/exit", "/quit")
NEW = "/new"
HELP = 'Type and press Enter. "exit" or Ctrl-D leaves, Ctrl-C stops an answer, "/new" begins again.'


class LineSource(Protocol):
    """Where lines come from."""

    def next(self) -> str | None:
        """Give the next line, None at the end."""


class Conversation:
    """What was said, and what goes on being said.

    Arguments:
        client: the node.
        ask: what every request has in common.
        system: what the model is told beforehand; may be empty.
        renew: gives the client of a node again, once that one has left: it may have been idle.
        json: print each answer as one line of JSON.
        human: a person types: say how, and stay after a failure.
    """

    def __init__(
        self,
        client: NodeClient,
        ask: Ask,
        system: str,
        *,
        renew: Callable[[], NodeClient],
        json: bool,
        human: bool,
    ) -> None:
        self._client = client
        self._renew = renew
        self._ask = ask
        self._json = json
        self._human = human
        self._beginning = (Message("system", system),) if system else ()
        self.messages: tuple[Message, ...] = self._beginning
        self._code = DONE

    def run(self, lines: LineSource) -> int:
        """Answer line after line; gives the exit code: that of the first failure, or 0.

        Raises:
            KeyboardInterrupt: Ctrl-C where no person types.
        """
        if self._human:
            output.say(HELP)
        while (line := self._next(lines)) is not None:
            text = line.strip()
            if text.lower() in LEAVE:
                break
            if text == NEW:
                self.messages = self._beginning
            elif text:
                self._turn(text)
        return DONE if self._human else self._code

    def _next(self, lines: LineSource) -> str | None:
        while True:
            try:
                return lines.next()
            except InvalidRequest as error:
                if not self._human:
                    raise
                output.failed(str(error))
            except KeyboardInterrupt:
                if not self._human:
                    raise
                output.say('\n"exit" or Ctrl-D leaves.')

    def _turn(self, text: str) -> None:
        asked = (*self.messages, Message("user", text))
        reply = Reply((lambda piece: None) if self._json else output.data, self._wait)
        try:
            self._run(reply, msgspec.structs.replace(self._ask, messages=asked))
        except Failure as failure:
            self._failed(failure.error, reply)
        except AiplatError as error:
            self._failed(error, reply)
        except KeyboardInterrupt:
            if not self._human:
                raise
            self._end_line(reply)
            output.say("Stopped.")
            self._keep(asked, reply)
        else:
            self._end_line(reply)
            if self._json:
                output.print_json(reply.as_json())
            self._keep(asked, reply)

    def _run(self, reply: Reply, ask: Ask) -> None:
        """Ask; when the node has left meanwhile, ask the next one, once."""
        try:
            reply.run(self._client, ask)
        except Failure as failure:
            if not isinstance(failure.error, NoNode):
                raise
            self._client = self._renew()
            reply.run(self._client, ask)

    def _keep(self, asked: tuple[Message, ...], reply: Reply) -> None:
        """Keep the turn; of an answer that was stopped, what came."""
        if reply.text:
            self.messages = (*asked, Message("assistant", reply.text))

    def _failed(self, error: AiplatError, reply: Reply) -> None:
        """Tell of a failure; the turn is not kept, so that it can be tried again."""
        self._end_line(reply)
        output.failed(str(error))
        if isinstance(error, ContextLengthExceeded) and self._human:
            output.say(f'"{NEW}" begins again with an empty context.')
        if self._json:
            output.print_json({"error": as_json(error), "request": reply.request})
        self._code = self._code or exit_code(error)

    def _end_line(self, reply: Reply) -> None:
        if not self._json and reply.text and not reply.text.endswith("\n"):
            output.data("\n")

    def _wait(self, text: str) -> None:
        output.say(text, "request")
