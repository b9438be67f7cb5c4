"""The doors, put together: which paths there are, and what each asks for."""

from __future__ import annotations

from aiplat.control.ports import NodeOperations
from aiplat.domain.errors import clip
from aiplat.http.access import Doorkeeper
from aiplat.http.answers import Answers
from aiplat.http.asgi import App, Request
from aiplat.http.certificate import Certificate
from aiplat.http.control import make_control_app
from aiplat.http.errors import NoSuchRoute
from aiplat.http.generating import Generating
from aiplat.http.health import Health, MetricsPage
from aiplat.http.limits import LimitHeaders
from aiplat.http.openai_api.chat import Chat
from aiplat.http.openai_api.models import PREFIX, Models
from aiplat.http.routing import Route, Router
from aiplat.http.settings import HttpSettings
from aiplat.telemetry.metrics import Metrics

__all__ = ["make_control_app", "make_public_app"]


def make_public_app(
    operations: NodeOperations,
    settings: HttpSettings,
    token: str,
    metrics: Metrics,
    certificate: Certificate | None = None,
) -> App:
    """Make the front door's application (ASGI 3).

    Arguments:
        operations: the node.
        settings: bounds.
        token: the local token, which ``/v1`` and ``/metrics`` take besides accounts' keys.
        metrics: the node's.
        certificate: what the door shows, if it speaks TLS.
    """

    def covers(name: str) -> bool:
        return certificate is not None and certificate.pair.covers(name)

    keeper = Doorkeeper(token, settings.allowed_hosts, metrics, covers, operations.check_key)
    limits = LimitHeaders(operations.rate)
    models = Models(operations, settings.call_seconds)
    generating = Generating(Answers(operations, settings, metrics), settings)
    chat = Chat(generating, settings)
    health = Health(operations)
    locked = (limits.promise, keeper.check_token)
    routes = [
        Route("/v1/chat/completions", {"POST": chat}, locked),
        Route("/v1/models", {"GET": models.list}, locked),
        Route(PREFIX, {"GET": models.one}, locked),
        Route("/v1/", dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), _nothing), locked),
        Route("/metrics", {"GET": MetricsPage(metrics)}, (keeper.check_admin,)),
        Route("/healthz", {"GET": health.alive}),
        Route("/health", {"GET": health.alive}),
        Route("/readyz", {"GET": health.ready}),
    ]
    return Router(routes, checks=(keeper.check_origin,), metrics=metrics)


async def _nothing(request: Request) -> None:
    raise NoSuchRoute(
        f"There is no {clip(request.path)}. Of OpenAI's API there are /v1/chat/completions, "
        "/v1/models and /v1/models/{id}."
    )
