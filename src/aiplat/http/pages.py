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


class Pages:
    """All pages.

    Arguments:
        operations: the node.
        settings: bounds.
        metrics: where what is refused is counted.
    """

    def __init__(
        self, operations: NodeOperations, settings: HttpSettings, metrics: Metrics
    ) -> None:
        self._dashboard = _dashboard(operations, settings, metrics)

    def routes(self) -> list[Route]:
        """Theirs."""
        paths = self._dashboard.paths.items()
        return [Route(path, dict.fromkeys(methods, self.show)) for path, methods in paths]

    async def show(self, request: Request) -> None:
        """Show the page of that path, or one that says that there is none."""
        await request.hand_over(self._dashboard)


def _dashboard(operations: NodeOperations, settings: HttpSettings, metrics: Metrics) -> Dashboard:
    def status_of(error: AiplatError) -> int:
        return problem_of(error).status

    def count(bound: str) -> None:
        metrics.bound_hits.labels(bound).inc()

    return Dashboard(
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
