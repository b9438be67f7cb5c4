"""The control API, for the faces of this account: on a Unix socket, whose folder is the lock.

On a port of loopback, which has no folder, `control_port` is the lock.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from aiplat.control.accounts import AccountsCall
from aiplat.control.messages import Accepted, Ask, ErrorReply, ModelName, Stop
from aiplat.control.ports import NodeOperations
from aiplat.control.series import SeriesAsk
from aiplat.domain.answers import Failed, Submission
from aiplat.domain.chat import Generate
from aiplat.domain.deltas import coalesced
from aiplat.domain.errors import AiplatError
from aiplat.http.answers import Answers, begin_stream, next_batch
from aiplat.http.asgi import App, Request
from aiplat.http.conversations import ConversationControl
from aiplat.http.errors import HttpError, Problem
from aiplat.http.events import COMMENT, event
from aiplat.http.machine import MachineControl
from aiplat.http.network import NetworkControl
from aiplat.http.openai_api.models import models_within
from aiplat.http.reading import read_wish
from aiplat.http.routing import Route, Router
from aiplat.http.settings import HttpSettings
from aiplat.roles.answering import Answer


def make_control_app(
    operations: NodeOperations,
    settings: HttpSettings,
    checks: tuple[Callable[[Request], None], ...] = (),
) -> App:
    """Make the control API's application (ASGI 3).

    Arguments:
        operations: the node.
        settings: bounds.
        checks: what lets in its faces alone, where it is served on anything but a Unix socket.
    """
    conversations = ConversationControl(operations, settings)
    control = Control(operations, settings, conversations)
    network = NetworkControl(operations, settings)
    machine = MachineControl(operations, settings)
    routes = [
        Route("/control/status", {"GET": control.status}),
        Route("/control/models", {"GET": control.models}),
        Route("/control/models/remove", {"POST": control.remove_model}),
        Route("/control/models/shelf", {"GET": machine.shelf}),
        Route("/control/models/pull", {"POST": machine.pull}),
        Route("/control/models/serve", {"POST": machine.serve}),
        Route("/control/log", {"POST": machine.log}),
        Route("/control/doctor", {"POST": machine.doctor}),
        Route("/control/access", {"GET": control.access}),
        Route("/control/ask", {"POST": control.ask}),
        Route("/control/answers/follow", {"POST": conversations.follow}),
        Route("/control/answers/stop", {"POST": conversations.stop}),
        Route("/control/history", {"POST": conversations.history}),
        Route("/control/accounts", {"POST": control.accounts}),
        Route("/control/keyring", {"GET": control.keyring}),
        Route("/control/series", {"POST": control.series}),
        Route("/control/stop", {"POST": control.stop}),
        Route("/control/peers", {"GET": network.peers}),
        Route("/control/drain", {"POST": network.drain}),
        Route("/control/share", {"GET": network.share, "POST": network.set_share}),
        Route("/control/block", {"POST": network.block}),
        Route("/control/unblock", {"POST": network.unblock}),
        Route("/control/explain", {"POST": network.explain}),
        Route("/control/network/create", {"POST": network.create}),
        Route("/control/network/join", {"POST": network.join}),
        Route("/control/network/leave", {"POST": network.leave}),
        Route("/control/network/invite", {"POST": network.invite}),
        Route("/control/network/members", {"GET": network.members}),
        Route("/control/network/revoke", {"POST": network.revoke}),
    ]
    return Router(
        routes,
        checks=checks,
        refuse=lambda error, problem: msgspec.json.encode(
            ErrorReply(error=_failed(error, problem))
        ),
        last_event=lambda error, problem: event(_failed(error, problem)),
    )


def _failed(error: Exception, problem: Problem) -> Failed:
    """What went wrong; what HTTP alone knows, and what nobody foresaw, gets the nearest code."""
    if isinstance(error, AiplatError) and not isinstance(error, HttpError):
        return Failed.of(error)
    code = "internal" if problem.status >= 500 else "invalid_request"
    return Failed(code, problem.message, problem.param)


class Control:
    """The routes."""

    def __init__(
        self, operations: NodeOperations, settings: HttpSettings, conversations: ConversationControl
    ) -> None:
        self._operations = operations
        self._settings = settings
        self._conversations = conversations
        self._answers = Answers(operations, settings)

    async def status(self, request: Request) -> None:
        """The node, now."""
        await request.reply(200, msgspec.json.encode(self._operations.status()))

    async def models(self, request: Request) -> None:
        """The models that can be asked for, and those that lie on this machine."""
        known = await models_within(self._operations, self._settings.call_seconds)
        await request.reply(200, msgspec.json.encode(await self._operations.shown(known)))

    async def remove_model(self, request: Request) -> None:
        """Remove a pulled model."""
        wish = await read_wish(request, self._settings, ModelName)
        await request.reply(200, msgspec.json.encode(await self._operations.remove_model(wish)))

    async def access(self, request: Request) -> None:
        """How programs reach the HTTP door."""
        await request.reply(200, msgspec.json.encode(self._operations.access()))

    async def series(self, request: Request) -> None:
        """What the graphs show."""
        ask = await read_wish(request, self._settings, SeriesAsk)
        await request.reply(200, msgspec.json.encode(await self._operations.series(ask)))

    async def stop(self, request: Request) -> None:
        """Begin to end the node."""
        stop = await read_wish(request, self._settings, Stop)
        await request.reply(200, msgspec.json.encode(self._operations.stop(stop)))

    async def accounts(self, request: Request) -> None:
        """Ask a gateway's accounts something. What is told may be a secret: it is never logged."""
        call = await read_wish(request, self._settings, AccountsCall)
        answer = await self._operations.accounts(call, credential_of(request))
        await request.reply(200, msgspec.json.encode(answer))

    async def keyring(self, request: Request) -> None:
        """Where secrets are kept."""
        await request.reply(200, msgspec.json.encode(await self._operations.keyring()))

    async def ask(self, request: Request) -> None:
        """Give an answer as events."""
        ask = await read_wish(request, self._settings, Ask)
        submission = Submission(
            id=request.id,
            to="gateway",
            work=Generate(ask.messages, ask.sampling),
            model=ask.model,
            deadline_ms=ask.deadline_ms,
            privacy=ask.privacy,
            credential=credential_of(request),
        )

        note = ""
        if ask.keep is not None:
            note = await self._conversations.keep(request, submission, ask)
            if request.finished:
                return

        async def work(answer: Answer) -> None:
            await begin_stream(request)
            await request.write(event(Accepted(request=request.id, note=note)))
            while not answer.ended:
                batch = await next_batch(
                    request, answer, self._settings.comment_seconds, lambda: COMMENT
                )
                data = b"".join(map(event, coalesced(batch)))
                await request.write(data, last=answer.ended)

        await self._answers.give(request, submission, work, peer=ask.peer)


def credential_of(request: Request) -> str:
    """The API key of the face's environment, which goes with its calls; empty without one."""
    scheme, _, key = request.header(b"authorization").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
