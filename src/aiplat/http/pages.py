"""The web pages as routes of the front door: what the dashboard is handed of the door and the node.

The dashboard sees the control API alone; whatever else it needs is given to it here.
"""

from __future__ import annotations

from aiplat.control.ports import NodeOperations
from aiplat.domain.errors import AiplatError
from aiplat.http.asgi import Request
from aiplat.http.dashboard.app import Dashboard
from aiplat.http.dashboard.surroundings import Surroundings
from aiplat.http.errors import problem_of
from aiplat.http.routing import Route
from aiplat.http.settings import HttpSettings
from aiplat.roles.answering import answering
from aiplat.telemetry.metrics import Metrics


def page_routes(
    operations: NodeOperations, settings: HttpSettings, metrics: Metrics
) -> list[Route]:
    """The routes of all pages.

    Arguments:
        operations: the node.
        settings: bounds.
        metrics: where what is refused is counted.
    """

    def status_of(error: AiplatError) -> int:
        return problem_of(error).status

    def count(bound: str) -> None:
        metrics.bound_hits.labels(bound).inc()

    dashboard = Dashboard(
        Surroundings(
            operations=operations,
            answering=answering,
            status_of=status_of,
            bound_hit=count,
            refused=lambda reason: metrics.auth_failures.labels(reason).inc(),
            max_form_bytes=settings.max_body_bytes,
            form_seconds=settings.body_seconds,
            call_seconds=settings.call_seconds,
            deadline_seconds=settings.deadline_seconds,
            comment_seconds=settings.comment_seconds,
            max_answers=settings.max_requests,
        )
    )

    async def show(request: Request) -> None:
        await request.hand_over(dashboard)

    return [Route(path, dict.fromkeys(methods, show)) for path, methods in dashboard.paths.items()]
