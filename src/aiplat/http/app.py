"""The doors, put together: which paths there are, and what each asks for."""

from __future__ import annotations

from collections.abc import Callable

from aiplat.control.ports import NodeOperations
from aiplat.domain.errors import clip
from aiplat.http.access import Doorkeeper
from aiplat.http.access_log import AccessLog
from aiplat.http.answers import Answers
from aiplat.http.anthropic_api.errors import WordingByClient, name_request
from aiplat.http.anthropic_api.routes import WORDING, Messages, ModelsByClient
from aiplat.http.asgi import App, Request
from aiplat.http.certificate import Certificate
from aiplat.http.control import make_control_app
from aiplat.http.cross_origin import CrossOrigin
from aiplat.http.errors import NoSuchRoute
from aiplat.http.forwarded import Forwarded
from aiplat.http.generating import Generating
from aiplat.http.head import HeadBounds, take_absolute
from aiplat.http.health import Health, MetricsPage
from aiplat.http.limits import LimitHeaders
from aiplat.http.ollama_api.routes import Ollama
from aiplat.http.openai_api.chat import Chat
from aiplat.http.openai_api.completions import Completions
from aiplat.http.openai_api.embeddings import Embeddings
from aiplat.http.openai_api.models import PREFIX, Models
from aiplat.http.openai_api.responses import routes as responses
from aiplat.http.openai_api.responses.create import Create
from aiplat.http.openai_api.responses.kept import Kept
from aiplat.http.openapi.operations import OPERATIONS
from aiplat.http.openapi.routes import description_routes
from aiplat.http.pages import Pages
from aiplat.http.routing import Handler, Route, Router, Wording
from aiplat.http.settings import HttpSettings
from aiplat.telemetry.metrics import Metrics

__all__ = ["make_control_app", "make_public_app"]

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

Checks = tuple[Callable[[Request], None], ...]


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

    keeper = Doorkeeper(
        token, settings.allowed_hosts, metrics, covers, operations.check_key,
        CrossOrigin(settings.allowed_origins),
    )  # fmt: skip
    limits = LimitHeaders(operations.rate)
    locked: Checks = (limits.promise, keeper.check_token)
    named: Checks = (limits.promise, name_request, keeper.check_token)
    models = Models(operations, settings.call_seconds)
    generating = Generating(Answers(operations, settings, metrics), settings)
    shared = WordingByClient()
    pages = Pages(operations, settings, metrics)
    routes = [
        *_openai_routes(generating, settings, locked),
        *_model_routes(models, named, shared),
        *_anthropic_routes(generating, settings, named),
        *Ollama(generating, models, settings).routes(locked),
        *_responses_routes(generating, Kept(operations), settings, locked),
        *_node_routes(operations, metrics, keeper),
        *description_routes(),
        *pages.routes(),
    ]
    nothing = _nothing("/v1/")
    routes.append(Route("/v1/", dict.fromkeys(_METHODS, nothing), named, shared))
    access = AccessLog(settings.access_log)
    checks = (take_absolute, HeadBounds(settings, metrics).check, keeper.check_origin)
    router = Router(routes, checks=checks, metrics=metrics, access=access, lost=pages.show)
    return Forwarded(router, settings.trusted_proxies) if settings.trusted_proxies else router


def _openai_routes(generating: Generating, settings: HttpSettings, checks: Checks) -> list[Route]:
    """OpenAI's, but for models, which it shares with Anthropic's, and stored responses."""
    return [
        Route("/v1/chat/completions", {"POST": Chat(generating, settings)}, checks),
        Route("/v1/completions", {"POST": Completions(generating, settings)}, checks),
        Route("/v1/embeddings", {"POST": Embeddings(generating, settings)}, checks),
    ]


def _model_routes(models: Models, checks: Checks, wording: Wording) -> list[Route]:
    listed = ModelsByClient(models)
    return [
        Route("/v1/models", {"GET": listed.list}, checks, wording),
        Route(PREFIX, {"GET": listed.one}, checks, wording),
    ]


def _anthropic_routes(
    generating: Generating, settings: HttpSettings, checks: Checks
) -> list[Route]:
    messages = Messages(generating, settings)
    return [
        Route("/v1/messages", {"POST": messages.create}, checks, WORDING),
        Route("/v1/messages/count_tokens", {"POST": messages.count}, checks, WORDING),
    ]


def _responses_routes(
    generating: Generating, kept: Kept, settings: HttpSettings, checks: Checks
) -> list[Route]:
    create, stored = Create(generating, kept, settings), responses.Stored(kept)
    by_id: dict[str, Handler] = {
        "GET": stored.get, "DELETE": stored.delete, "POST": stored.post,
    }  # fmt: skip
    return [
        Route("/v1/responses", {"POST": create}, checks),
        Route("/v1/responses/input_tokens", {"POST": create.count}, checks),
        Route(responses.PREFIX, by_id, checks),
    ]


def _node_routes(operations: NodeOperations, metrics: Metrics, keeper: Doorkeeper) -> list[Route]:
    """What tells of the node itself."""
    health = Health(operations)
    return [
        Route("/metrics", {"GET": MetricsPage(metrics)}, (keeper.check_admin,)),
        Route("/healthz", {"GET": health.alive}),
        Route("/health", {"GET": health.alive}),
        Route("/readyz", {"GET": health.ready}),
    ]


def _nothing(below: str) -> Handler:
    """What answers a path below another where there is nothing: it names what there is.

    Arguments:
        below: what the path begins with.
    """
    known = sorted({one.path for one in OPERATIONS if one.path.startswith(below)})

    async def answer(request: Request) -> None:
        raise NoSuchRoute(f"There is no {clip(request.path)}. There is: {', '.join(known)}.")

    return answer
